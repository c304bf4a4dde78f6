// Decoding with our engine, in one process: prints the JSON object that the side-by-side benchmark reads.
//
//   node --import ./tools/register-typescript.mjs bench/decode/own-decode.ts --model DIR [--streams 1] [--prompt 64] [--tokens 32]
//        [--nf4] [--threads N]
//
// Every stream reads a prompt of random tokens and then continues greedily, as transformers' generate does: no end token.
import { parseArgs } from "node:util";
import { loadRuntime } from "../../src/compute/index.ts";
import { RandomStream } from "../../src/core/index.ts";
import { CausalModel, loadModelFolder } from "../../src/engine/index.ts";
import { openModelFolder } from "../../src/folders/index.ts";

const { values: flags } = parseArgs({
  options: {
    model: { type: "string" },
    streams: { type: "string", default: "1" },
    prompt: { type: "string", default: "64" },
    tokens: { type: "string", default: "32" },
    nf4: { type: "boolean", default: false },
    threads: { type: "string" },
  },
});
const [streamCount, promptTokens, tokenCount] = [flags.streams, flags.prompt, flags.tokens].map(Number) as [number, number, number];

function likeliest(logits: Float32Array): number {
  let best = 0;
  for (let id = 1; id < logits.length; id++) if ((logits[id] as number) > (logits[best] as number)) best = id;
  return best;
}

async function openModel(): Promise<CausalModel> {
  const folder = await openModelFolder(flags.model ?? "");
  const base = await loadModelFolder(folder, { quantization: flags.nf4 ? { type: "nf4", doubleQuant: true } : null, cache: "auto" });
  await folder.folder.close();
  const threads = flags.threads === undefined ? null : Number(flags.threads);
  const parts = { spec: folder.spec, base, parameters: [], lora: new Map(), dropout: 0, activations: "recompute" as const, threads };
  return new CausalModel({ runtime: await loadRuntime(), ...parts });
}

/** Seconds to the first token of the first stream, and of each step of all streams after their prompts. */
async function measure(model: CausalModel): Promise<{ first: number; steps: number[] }> {
  const random = new RandomStream(1, "bench");
  const decoder = model.decoder(promptTokens + tokenCount + 1);
  const prompts = Array.from({ length: streamCount }, () =>
    Int32Array.from({ length: promptTokens }, () => random.nextInt(model.spec.vocabSize)),
  );
  const tokens: { stream: ReturnType<typeof decoder.open>; id: number }[] = [];
  let first = 0;
  for (const ids of prompts) {
    const began = performance.now();
    const stream = decoder.open();
    let logits: Float32Array | null = null;
    while (stream.length < ids.length) {
      const part = ids.subarray(stream.length, stream.length + decoder.prefillRows(stream));
      logits = await decoder.extend(stream, part);
    }
    tokens.push({ stream, id: likeliest(logits as Float32Array) });
    first ||= (performance.now() - began) / 1000;
  }
  const steps: number[] = [];
  const vocab = model.spec.vocabSize;
  for (let step = 1; step < tokenCount; step++) {
    const began = performance.now();
    const logits = await decoder.step(tokens);
    for (const [i, token] of tokens.entries()) token.id = likeliest(logits.subarray(i * vocab, (i + 1) * vocab));
    steps.push((performance.now() - began) / 1000);
  }
  for (const { stream } of tokens) decoder.close(stream);
  return { first, steps };
}

const model = await openModel();
await measure(model); // graphs are compiled, pages are touched
const { first, steps } = await measure(model);
const seconds = steps.reduce((sum, s) => sum + s, 0);
const result = {
  tokens_per_s: (streamCount * steps.length) / seconds,
  time_to_first_token_s: Number(first.toFixed(4)),
  step_s: {
    median: Number((steps.toSorted((a, b) => a - b)[steps.length >> 1] as number).toFixed(4)),
    each: steps.map((s) => Number(s.toFixed(4))),
  },
  streams: streamCount,
  peak_rss_mib: Math.round(process.resourceUsage().maxRSS / 1024),
  versions: { node: process.versions.node },
};
process.stdout.write(`${JSON.stringify(result)}\n`);
