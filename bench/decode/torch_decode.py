"""Decoding with transformers' generate on PyTorch fp32: what a user would otherwise run, nothing tuned.

    python torch_decode.py --model DIR --streams 1 --prompt 64 --tokens 32

Random prompts of equal length, greedy, no end token. Time to the first token is a generate call of one token; the rate is over
the tokens after the first, from the difference of a long and a one-token call. Prints one JSON object.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import time

import torch
import transformers
from transformers import AutoModelForCausalLM


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--streams", type=int, default=1)
    parser.add_argument("--prompt", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    transformers.logging.set_verbosity_error()
    model = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32).eval()
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(model.config.vocab_size, (args.streams, args.prompt), generator=generator)

    def seconds(batch, tokens):
        start = time.perf_counter()
        with torch.inference_mode():
            model.generate(batch, attention_mask=torch.ones_like(batch), max_new_tokens=tokens, min_new_tokens=tokens, do_sample=False,
                           pad_token_id=0, eos_token_id=None)
        return time.perf_counter() - start

    seconds(ids, 4)
    first = statistics.median(seconds(ids[:1], 1) for _ in range(3))
    one = statistics.median(seconds(ids, 1) for _ in range(3))
    decoding = seconds(ids, args.tokens) - one
    print(json.dumps({
        "tokens_per_s": round(args.streams * (args.tokens - 1) / decoding, 3),
        "time_to_first_token_s": round(first, 4),
        "streams": args.streams,
        "peak_rss_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "transformers": transformers.__version__},
    }))


if __name__ == "__main__":
    main()
