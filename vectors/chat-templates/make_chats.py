"""Renders chats with transformers, as text and with the mask of assistant tokens where the template marks generations.

Usage: python make_chats.py [OUT]   (OUT: this folder). Needs `pip install transformers tokenizers jinja2` (no torch); see README.md.
"""

import json
import sys
from pathlib import Path

from transformers import PreTrainedTokenizerFast

OUT = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent)
TOKENIZER = Path(__file__).parent.parent / "tokenizers" / "llama3.tokenizer.json"

CHATML = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
# Newlines and indents around the blocks: what trim_blocks and lstrip_blocks are for.
CHATML_MARKED = """{{- bos_token }}
{%- for message in messages %}
    {%- if message.role == 'assistant' %}
        {{- '<|im_start|>assistant\\n' }}
        {%- generation %}
        {{- message.content + '<|im_end|>' }}
        {%- endgeneration %}
        {{- '\\n' }}
    {%- else %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""
BARE_MARKS = (
    "{% for m in messages %}\n<|im_start|>{{ m['role'] }}\n"
    "  {% if m['role'] == 'assistant' %}\n"
    "  {% generation %}\n{{ m['content'] | trim }}<|im_end|>{% endgeneration %}\n"
    "\n  {% else %}\n{{ m['content'] }}<|im_end|>\n  {% endif %}\n{% endfor %}\n"
)
# After Llama 2's own: systems folded into the first user turn, alternation enforced.
INST = (
    "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'] %}"
    "{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}"
    "{% for message in loop_messages %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate user/assistant') }}{% endif %}"
    "{% if loop.index0 == 0 and system_message != false %}"
    "{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}"
    "{% else %}{% set content = message['content'] %}{% endif %}"
    "{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}"
    "{% elif message['role'] == 'assistant' %}{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}"
)
# Loop controls, namespaces, macros, slices, tojson, tests on what may be undefined.
FEATURES = """{%- set ns = namespace(seen=0) -%}
{%- macro head(role) -%}<|im_start|>{{ role | upper }}: {% endmacro -%}
{%- if tools is not none and tools %}{{ tools | tojson }}{% endif -%}
{%- for m in messages -%}
  {%- if m.content is not defined or m.content == 'skip' -%}{%- continue -%}{%- endif -%}
  {%- if m.content == 'stop' -%}{%- break -%}{%- endif -%}
  {%- set ns.seen = ns.seen + 1 -%}
  {{ head(m.role) }}{{ m | tojson }} {{ m.content[:3] }}|{{ m['content'].split(' ') | length }}|{{ 'F' if loop.first else '-' }}{{ 'L' if loop.last else '-' }}
{% endfor -%}
seen {{ ns.seen }} of {{ messages | length }} {{ messages | map(attribute='role') | join(',') }} {{ missing | default('none') }}
"""

CHATS = {
    "one-turn": [{"role": "user", "content": "What is ¾ of 8?"}, {"role": "assistant", "content": "6"}],
    "system-two-turns": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello\n"},
        {"role": "assistant", "content": "  Hi there! \n"},
        {"role": "user", "content": "你好 😀"},
        {"role": "assistant", "content": "line one\n\nline two"},
    ],
    "ends-with-user": [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "\n\nb"},
        {"role": "user", "content": "c \"quoted\" <tag> & é"},
    ],
    "two-users": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}, {"role": "assistant", "content": "c"}],
    "skips": [
        {"role": "user", "content": "skip"},
        {"role": "assistant", "content": "kept words here"},
        {"role": "user", "content": "stop"},
        {"role": "assistant", "content": "never seen"},
    ],
}
TEMPLATES = {"chatml": CHATML, "chatml-marked": CHATML_MARKED, "bare-marks": BARE_MARKS, "inst": INST, "features": FEATURES}


def case(tokenizer, template, messages, prompt):
    options = {"chat_template": template, "add_generation_prompt": prompt}
    try:
        text = tokenizer.apply_chat_template(messages, tokenize=False, **options)
    except Exception as error:
        return {"error": str(error)}
    result = {"text": text, "ids": tokenizer(text, add_special_tokens=False)["input_ids"]}
    if "{% generation" in template or "{%- generation" in template:
        masked = tokenizer.apply_chat_template(
            messages, tokenize=True, return_dict=True, return_assistant_tokens_mask=True, **options
        )
        result["ids"], result["assistantMask"] = masked["input_ids"], masked["assistant_masks"]
    return result


def main():
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(TOKENIZER), bos_token="<s>", eos_token="</s>")
    cases = []
    for name, template in TEMPLATES.items():
        for chat, messages in CHATS.items():
            for prompt in (False, True):
                cases.append({"template": name, "chat": chat, "addGenerationPrompt": prompt, **case(tokenizer, template, messages, prompt)})
    document = {"templates": TEMPLATES, "chats": CHATS, "cases": cases}
    (OUT / "chats.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(len(cases), sum("error" in c for c in cases), [c for c in cases if "error" in c][:3])


main()
