// Decoding with llama.cpp through node-llama-cpp, one stream, in one process: prints the JSON object of the other sides.
//
//   node --import ./tools/register-typescript.mjs bench/decode/llama-decode.ts --model FILE.gguf [--prompt 64] [--tokens 32] [--threads 2]
import { parseArgs } from "node:util";
import { getLlama, type Token } from "node-llama-cpp";

const { values: flags } = parseArgs({
  options: {
    model: { type: "string", default: "" },
    prompt: { type: "string", default: "64" },
    tokens: { type: "string", default: "32" },
    threads: { type: "string", default: "2" },
  },
});
const [promptTokens, tokenCount] = [flags.prompt, flags.tokens].map(Number) as [number, number];

const llama = await getLlama({ gpu: false });
const model = await llama.loadModel({ modelPath: flags.model });
const context = await model.createContext({ contextSize: promptTokens + tokenCount + 8, threads: Number(flags.threads) });
const sequence = context.getSequence();
const prompt = Array.from({ length: promptTokens }, (_, i) => (1000 + 7 * i) as Token);

/** Seconds to the first token, and from there to the last. */
async function measure(): Promise<{ first: number; rest: number; made: number }> {
  await sequence.clearHistory();
  const began = performance.now();
  let first = 0;
  let made = 0;
  for await (const _token of sequence.evaluate(prompt, { temperature: 0, yieldEogToken: true })) {
    made++;
    if (made === 1) first = (performance.now() - began) / 1000;
    if (made === tokenCount) break;
  }
  return { first, rest: (performance.now() - began) / 1000 - first, made };
}

await measure();
const { first, rest, made } = await measure();
const result = {
  tokens_per_s: (made - 1) / rest,
  time_to_first_token_s: Number(first.toFixed(4)),
  streams: 1,
  peak_rss_mib: Math.round(process.resourceUsage().maxRSS / 1024),
  versions: { node: process.versions.node },
};
process.stdout.write(`${JSON.stringify(result)}\n`);
process.exit(0);
