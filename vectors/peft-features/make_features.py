"""What real PEFT makes of LoRA configurations: the tensors that it trains and stores, its banners and scalings.

    python make_features.py     # in this folder; writes cases.json

Models are built from the configurations in ../peft-banners (random weights: only names, shapes and counts are kept).
"""

import contextlib
import io
import json
import tempfile
import warnings
from pathlib import Path

import peft
import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors import safe_open
from transformers import AutoConfig, AutoModelForCausalLM

warnings.filterwarnings("ignore")
HERE = Path(__file__).parent
BASES = HERE.parent / "peft-banners"

QV = ["q_proj", "v_proj"]
CASES = {
    # ranks, alphas, scaling
    "rank_by_suffix": ("base", dict(target_modules=QV, rank_pattern={"q_proj": 2})),
    "rank_by_path": ("base", dict(target_modules=QV, rank_pattern={"model.layers.1.self_attn.v_proj": 7})),
    "rank_first_pattern_wins": ("base", dict(target_modules=QV, rank_pattern={"layers.0.self_attn.q_proj": 3, "q_proj": 6})),
    "rank_anchored": ("base", dict(target_modules=QV, rank_pattern={"^model\\.layers\\.[02]\\..*_proj": 5})),
    "rank_part_of_a_name": ("base", dict(target_modules=QV, rank_pattern={"proj": 5, "self_attn": 6})),
    "alpha_alternatives": ("base", dict(target_modules=QV, alpha_pattern={"(q|k)_proj": 5, "v_proj|o_proj": 9.5})),
    "alpha_dots_are_any": ("base", dict(target_modules=QV, alpha_pattern={"layers.1.self.attn.q.proj": 5})),
    "rslora_with_patterns": (
        "base",
        dict(target_modules=QV, use_rslora=True, rank_pattern={"q_proj": 12}, alpha_pattern={"v_proj": 3}),
    ),
    # biases
    "bias_all_without_biases": ("base", dict(target_modules=QV, bias="all")),
    "bias_all_with_copies": ("base-bias", dict(target_modules=QV, bias="all", modules_to_save=["lm_head"])),
    "bias_all_with_copied_biases": ("base-bias", dict(target_modules=QV, bias="all", modules_to_save=["o_proj"])),
    "bias_all_with_a_copied_block": ("base-bias", dict(target_modules=QV, bias="all", modules_to_save=["layers.1.mlp"])),
    "bias_lora_only_regex": ("base-bias", dict(target_modules=".*layers.1.*(q_proj|up_proj)", bias="lora_only")),
    "lora_bias": ("base-bias", dict(target_modules=QV, lora_bias=True)),
    "lora_bias_and_bias_lora_only": ("base-bias", dict(target_modules=QV, lora_bias=True, bias="lora_only")),
    "lora_bias_and_bias_all": ("base-bias", dict(target_modules=QV, lora_bias=True, bias="all")),
    # DoRA
    "dora_with_patterns": ("base", dict(target_modules="all-linear", use_dora=True, rank_pattern={"down_proj": 2})),
    "dora_embedding": ("base", dict(target_modules=["embed_tokens", "q_proj"], use_dora=True)),
    "dora_head_bias": ("base-bias", dict(target_modules=["lm_head", "o_proj"], use_dora=True, bias="lora_only")),
    # embeddings
    "embedding_alone": ("base", dict(target_modules=["embed_tokens"])),
    "head_alone": ("base", dict(target_modules=["lm_head", "q_proj"], rank_pattern={"lm_head": 9})),
    "embedding_by_path": ("base", dict(target_modules=["model.embed_tokens", "q_proj"])),
    "embedding_by_pattern": ("base", dict(target_modules=".*(embed_tokens|q_proj)")),
    "head_by_pattern": ("base", dict(target_modules="lm_head|.*q_proj")),
    "tied_embedding_and_head": ("base-tied", dict(target_modules=["embed_tokens", "lm_head", "q_proj"])),
    "tied_ensured_embedding": ("base-tied", dict(target_modules=["embed_tokens", "q_proj"], ensure_weight_tying=True)),
    "tied_ensured_head": ("base-tied", dict(target_modules=["lm_head", "q_proj"], ensure_weight_tying=True)),
    "tied_ensured_both": (
        "base-tied",
        dict(target_modules=["embed_tokens", "lm_head", "q_proj"], ensure_weight_tying=True, rank_pattern={"embed_tokens": 3}),
    ),
    "tied_ensured_pattern": ("base-tied", dict(target_modules=".*(embed_tokens|q_proj)", ensure_weight_tying=True)),
    "tied_ensured_nothing": ("base-tied", dict(target_modules=QV, ensure_weight_tying=True)),
    # trainable tokens
    "tokens_list": ("base", dict(target_modules=QV, trainable_token_indices=[3, 4, 5])),
    "tokens_head": ("base", dict(target_modules=QV, trainable_token_indices={"lm_head": [1, 2]})),
    "tokens_both": ("base", dict(target_modules=QV, trainable_token_indices={"embed_tokens": [1, 2], "lm_head": [1, 2, 9]})),
    "tokens_tied": ("base-tied", dict(target_modules=QV, trainable_token_indices=[0, 7])),
    "tokens_tied_both": ("base-tied", dict(target_modules=QV, trainable_token_indices={"embed_tokens": [1, 2], "lm_head": [1, 2]})),
    "tokens_tied_ensured": (
        "base-tied",
        dict(target_modules=QV, trainable_token_indices={"embed_tokens": [1, 2]}, ensure_weight_tying=True),
    ),
    "tokens_tied_differ": ("base-tied", dict(target_modules=QV, trainable_token_indices={"embed_tokens": [1], "lm_head": [2, 3]})),
    "tokens_and_head_lora": ("base", dict(target_modules=["lm_head", "q_proj"], trainable_token_indices=[3])),
    "tokens_and_head_copy": ("base", dict(target_modules=QV, trainable_token_indices=[3], modules_to_save=["lm_head"])),
    # full copies
    "copy_block": ("base", dict(target_modules=["q_proj", "up_proj"], modules_to_save=["layers.1.mlp"])),
    "copy_every_mlp": ("base", dict(target_modules=QV, modules_to_save=["mlp"])),
    "copy_attention_with_biases": ("base-bias", dict(target_modules=["up_proj"], modules_to_save=["layers.0.self_attn"])),
    "copy_layer": ("base", dict(target_modules=QV, modules_to_save=["model.layers.2"])),
    "copy_linear_of_targets": ("base-bias", dict(target_modules=["q_proj", "k_proj"], modules_to_save=["k_proj"])),
    "copies_and_dora": ("base-tied", dict(target_modules=QV, use_dora=True, modules_to_save=["embed_tokens"])),
    # initializations
    "olora": ("base", dict(target_modules=QV, init_lora_weights="olora")),
    "mica": ("base", dict(target_modules=QV, init_lora_weights="mica")),
    "orthogonal": ("base", dict(target_modules=QV, init_lora_weights="orthogonal")),
    # what PEFT refuses
    "refused_lora_and_copy": ("base", dict(target_modules=QV, modules_to_save=["proj"])),
    "refused_layer_list": ("base", dict(target_modules=["lm_head"], modules_to_save=["layers"])),
    "refused_lora_and_tokens": ("base", dict(target_modules=["embed_tokens", "q_proj"], trainable_token_indices=[3])),
    "refused_copy_and_tokens": ("base", dict(target_modules=QV, modules_to_save=["embed_tokens"], trainable_token_indices={"embed_tokens": [3]})),
    "refused_lora_bias_embedding": ("base", dict(target_modules=["embed_tokens"], lora_bias=True)),
    "refused_norm": ("base", dict(target_modules=["input_layernorm"])),
    "refused_rank_zero": ("base", dict(target_modules=QV, rank_pattern={"q_proj": 0})),
}


def base_model(name):
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(BASES / name))


def banner(model):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        model.print_trainable_parameters()
    return out.getvalue().strip()


def described(base, values):
    model = get_peft_model(base_model(base), LoraConfig(r=4, lora_alpha=8, task_type="CAUSAL_LM", **values))
    case = {
        "base": base,
        "given": values,
        "fresh": banner(model),
        "trainable": {name: list(p.shape) for name, p in model.named_parameters() if p.requires_grad},
        "all": [name for name, _ in model.named_parameters()],
        "scaling": {
            name.removeprefix("base_model.model."): module.scaling["default"]
            for name, module in model.named_modules()
            if hasattr(module, "scaling") and isinstance(module.scaling, dict) and "default" in module.scaling
        },
    }
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        config = json.loads((Path(folder) / "adapter_config.json").read_text())
        for key in ("target_modules", "exclude_modules"):
            if isinstance(config[key], list):
                config[key].sort()
        case["config"] = config
        with safe_open(Path(folder) / "adapter_model.safetensors", "pt") as file:
            case["saved"] = {key: list(file.get_slice(key).get_shape()) for key in sorted(file.keys())}
        try:
            case["reload_trainable"] = banner(PeftModel.from_pretrained(base_model(base), folder, is_trainable=True))
            case["reload_frozen"] = banner(PeftModel.from_pretrained(base_model(base), folder))
        except Exception as error:
            case["reload_error"] = str(error).splitlines()[0][:200]
    return case


def refused(base, values):
    try:
        described(base, values)
    except Exception as error:
        return {"base": base, "given": values, "error": str(error).splitlines()[0][:200]}
    raise SystemExit(f"PEFT takes {values}")


cases = {}
for name, (base, values) in CASES.items():
    print(name)
    try:
        cases[name] = (refused if name.startswith("refused") else described)(base, dict(values))
    except Exception as error:  # to be told, not hidden: such a case has to be moved or mended
        raise SystemExit(f"{name}: {error}") from error
versions = {"peft": peft.__version__, "transformers": transformers.__version__, "torch": torch.__version__}
lines = ",\n".join(f" {json.dumps(name)}: {json.dumps(case, separators=(',', ':'))}" for name, case in cases.items())
(HERE / "cases.json").write_text(f'{{"versions": {json.dumps(versions)},\n"cases": {{\n{lines}\n}}}}\n')
