"""Writes small folders of rarer and damaged forms for tools/wild/main.ts: make_other_forms.py FOLDER (tools/python/requirements.txt)."""
import os, json, torch, sys
from safetensors.torch import save_file
import peft
from peft import get_peft_model, LoraConfig, IA3Config, PrefixTuningConfig, AdaLoraConfig, PromptTuningConfig, VeraConfig
from transformers import LlamaConfig, LlamaForCausalLM
R = sys.argv[1]
os.makedirs(R, exist_ok=True)
def m():
    return LlamaForCausalLM(LlamaConfig(hidden_size=16,intermediate_size=32,num_hidden_layers=2,num_attention_heads=2,num_key_value_heads=2,vocab_size=32))
m().save_pretrained(f'{R}/base')
def ad(n,c):
    try: p=get_peft_model(m(),c); p.save_pretrained(f'{R}/{n}')
    except Exception as e: print(n,repr(e)[:200])
ad('ia3',IA3Config(target_modules=['k_proj','v_proj','down_proj'],feedforward_modules=['down_proj'],task_type='CAUSAL_LM'))
ad('prefix',PrefixTuningConfig(num_virtual_tokens=4,task_type='CAUSAL_LM'))
ad('prompt',PromptTuningConfig(num_virtual_tokens=4,task_type='CAUSAL_LM'))
ad('adalora',AdaLoraConfig(target_modules=['q_proj','v_proj'],total_step=10,task_type='CAUSAL_LM'))
ad('vera',VeraConfig(target_modules=['q_proj','v_proj'],task_type='CAUSAL_LM'))
ad('lora-cls',LoraConfig(task_type='SEQ_CLS',target_modules=['q_proj']))
def d(n): os.makedirs(f'{R}/{n}',exist_ok=True); return f'{R}/{n}'
z=lambda *s: torch.zeros(*s)
L={'peft_type':'LORA','r':2,'lora_alpha':4,'target_modules':['q_proj'],'task_type':'CAUSAL_LM'}
LA={f'base_model.model.model.layers.0.self_attn.q_proj.lora_{x}.weight':z(*s) for x,s in (('A',(2,16)),('B',(16,2)))}
json.dump(L,open(d('legacy-bin')+'/adapter_config.json','w')); torch.save(LA,f'{R}/legacy-bin/adapter_model.bin',_use_new_zipfile_serialization=False)
json.dump(L,open(d('new-bin')+'/adapter_config.json','w')); torch.save(LA,f'{R}/new-bin/adapter_model.bin')
json.dump(L,open(d('valuehead')+'/adapter_config.json','w')); save_file(LA,f'{R}/valuehead/adapter_model.safetensors'); torch.save({'v_head.summary.weight':z(1,16),'v_head.summary.bias':z(1)},f'{R}/valuehead/pytorch_model.bin')
save_file({'model.layers.0.self_attn.q_proj.lora_a':z(16,2),'model.layers.0.self_attn.q_proj.lora_b':z(2,16)},d('mlx')+'/adapters.safetensors'); json.dump({'fine_tune_type':'lora','num_layers':2,'lora_parameters':{'rank':2,'scale':20.0,'dropout':0.0}},open(f'{R}/mlx/adapter_config.json','w'))
save_file({'unet.down_blocks.0.attentions.0.to_q.lora_A.weight':z(2,16),'unet.down_blocks.0.attentions.0.to_q.lora_B.weight':z(16,2)},d('diffusers')+'/pytorch_lora_weights.safetensors')
save_file({'lora_unet_down_blocks_0_to_q.lora_down.weight':z(2,16),'lora_unet_down_blocks_0_to_q.lora_up.weight':z(16,2),'lora_unet_down_blocks_0_to_q.alpha':torch.tensor(4.)},d('kohya')+'/kohya.safetensors',metadata={'ss_network_dim':'2'})
json.dump({'architectures':['LlamaForCausalLM'],'model_type':'llama','hidden_size':16,'intermediate_size':32,'num_hidden_layers':1,'num_attention_heads':2,'vocab_size':32,'rms_norm_eps':1e-6,'max_position_embeddings':64,'quantization_config':{'quant_method':'gptq','bits':4,'group_size':128}},open(d('gptq')+'/config.json','w')); save_file({'model.layers.0.self_attn.q_proj.qweight':torch.zeros(2,16,dtype=torch.int32),'model.layers.0.self_attn.q_proj.qzeros':torch.zeros(1,2,dtype=torch.int32),'model.layers.0.self_attn.q_proj.scales':torch.zeros(1,16,dtype=torch.float16),'model.layers.0.self_attn.q_proj.g_idx':torch.zeros(16,dtype=torch.int32)},f'{R}/gptq/model.safetensors')
c=json.load(open(f'{R}/gptq/config.json')); c['quantization_config']={'quant_method':'awq','bits':4}; json.dump(c,open(d('awq')+'/config.json','w')); save_file({'model.layers.0.self_attn.q_proj.qweight':torch.zeros(16,2,dtype=torch.int32),'model.layers.0.self_attn.q_proj.qzeros':torch.zeros(1,2,dtype=torch.int32),'model.layers.0.self_attn.q_proj.scales':torch.zeros(1,16,dtype=torch.float16)},f'{R}/awq/model.safetensors')
c['quantization_config']={'quant_method':'fp8'}; json.dump(c,open(d('fp8')+'/config.json','w')); save_file({'model.layers.0.self_attn.q_proj.weight':torch.zeros(16,16,dtype=torch.float8_e4m3fn),'model.layers.0.self_attn.q_proj.weight_scale_inv':z(1,1)},f'{R}/fp8/model.safetensors')
json.dump({'architectures':['Gemma3ForConditionalGeneration'],'model_type':'gemma3','text_config':{'hidden_size':16,'vocab_size':32},'vision_config':{'hidden_size':8}},open(d('vlm')+'/config.json','w')); save_file({'language_model.model.embed_tokens.weight':z(32,16),'vision_tower.x.weight':z(8,8)},f'{R}/vlm/model.safetensors')
json.dump({'architectures':['BertModel'],'model_type':'bert','hidden_size':16},open(d('st')+'/config.json','w')); json.dump([],open(f'{R}/st/modules.json','w')); save_file({'embeddings.word_embeddings.weight':z(32,16)},f'{R}/st/model.safetensors')
json.dump({'_class_name':'UNet2DConditionModel','_diffusers_version':'0.3'},open(d('unet')+'/config.json','w')); save_file({'conv_in.weight':z(4,4,3,3)},f'{R}/unet/diffusion_pytorch_model.safetensors')
json.dump({'_class_name':'UNet2DConditionModel'},open(d('unet2')+'/config.json','w')); save_file({'conv_in.weight':z(4,4,3,3)},f'{R}/unet2/model.safetensors')
open(d('nan')+'/trainer_state.json','w').write('{"global_step": 5, "max_steps": 10, "epoch": NaN, "best_metric": -Infinity, "log_history": [{"loss": NaN, "step": 5, "learning_rate": 1e-4}]}')
open(d('bom')+'/adapter_config.json','wb').write(b'\xef\xbb\xbf'+json.dumps(L).encode())
open(d('utf16')+'/adapter_config.json','wb').write(json.dumps(L).encode('utf-16'))
open(d('latin1')+'/adapter_config.json','wb').write(json.dumps(dict(L,base_model_name_or_path='modèle'),ensure_ascii=False).encode('latin-1'))
open(d('comma')+'/adapter_config.json','w').write('{"peft_type": "LORA",\n "r": 2,\n}')
open(d('comment')+'/adapter_config.json','w').write('{"peft_type": "LORA", // mine\n "r": 2}')
open(d('single')+'/adapter_config.json','w').write("{'peft_type': 'LORA'}")
open(d('html')+'/adapter_config.json','w').write("<!DOCTYPE html><html><body>Invalid username or password</body></html>")
open(d('html')+'/adapter_model.safetensors','w').write("<!DOCTYPE html><html><body>Invalid username or password</body></html>"*10)
open(d('empty')+'/adapter_config.json','w').write("")
open(d('zeros')+'/adapter_config.json','wb').write(b"\0"*100)
json.dump(L,open(d('zerow')+'/adapter_config.json','w')); open(f'{R}/zerow/adapter_model.safetensors','wb').write(b'\0'*4096)
open(d('gguf')+'/x.gguf','wb').write(b'GGUF'+b'\0'*100)
json.dump(L,open(d('ggufw')+'/adapter_config.json','w')); open(f'{R}/ggufw/adapter_model.safetensors','wb').write(b'GGUF\x03\0\0\0'+b'\0'*100)
torch.save({'model':LA,'optimizer':{},'epoch':3},d('ckpt')+'/ckpt.pt'); torch.save({'state_dict':{'w':z(2)}, 'lr':0.1},f'{R}/ckpt/lightning.ckpt'); torch.save(z(3),f'{R}/ckpt/tensor.pt'); torch.save(m(),f'{R}/ckpt/whole-model.pt')
import numpy as np; np.savez(d('npz')+'/adapters.npz',a=np.zeros(3))
json.dump({'peft_type':'LORA','r':'8','lora_alpha':None,'target_modules':'all-linear'},open(d('badtypes')+'/adapter_config.json','w'))
json.dump({'r':8,'lora_alpha':16,'target_modules':['q'],'enable_lora':None,'merge_weights':False,'peft_type':'lora'},open(d('lowercase')+'/adapter_config.json','w'))
json.dump({'learning_rate':1},open(d('other')+'/config.json','w'))
