// node --import ./tools/register-typescript.mjs tools/export/prove-gguf.ts ADAPTER BASE FOLDER [--report FILE]
// Exports an adapter merged into its base in every type, and by itself, into FOLDER; opens each in llama.cpp, and holds logits
// and greedy answers against the merged model here.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { loadTokenizer } from "../../src/data/index.ts";
import { exportGguf, GGUF_TYPES, mergeAdapter } from "../../src/export/index.ts";
import { completeInLlamaCpp, type LoraFile, logitsInLlamaCpp, openLlamaCpp } from "./llama-cpp.ts";
import { completeHere, logitsHere } from "./own-model.ts";

const PROMPTS = [
  "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n",
  "The three primary colours are",
  "def fibonacci(n):\n    ",
];
const ANSWER_TOKENS = 16;

interface Agreement {
  /** Root of the mean squared difference of logits, as a share of their size. */
  readonly distance: number;
  /** Mean of KL(here ‖ llama.cpp) in nats. */
  readonly kl: number;
  readonly sameTop: number;
  readonly positions: number;
  readonly sameAnswers: number;
  readonly answers: number;
}

const softmax = (row: Float32Array): Float64Array => {
  const largest = row.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const powers = Float64Array.from(row, (value) => Math.exp(value - largest));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((value) => value / sum);
};
const top = (row: Float32Array): number => row.indexOf(row.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY));

const [adapter, base, folder] = process.argv.slice(2);
if (adapter === undefined || base === undefined || folder === undefined)
  throw new TypeError("usage: prove-gguf.ts ADAPTER BASE FOLDER [--report FILE]");
mkdirSync(folder, { recursive: true });
const merged = join(folder, "merged");
await mergeAdapter({ path: adapter, base, output: merged, dtype: "fp32" });
const tokenizer = await loadTokenizer(base);
const prompts = PROMPTS.map((prompt) => tokenizer.encode(prompt));
const expected: { readonly logits: Float32Array[]; readonly answer: number[] }[] = [];
for (const ids of prompts) expected.push({ logits: await logitsHere(merged, ids), answer: await completeHere(merged, ids, ANSWER_TOKENS) });
const llama = await openLlamaCpp();

async function agreement(file: string, lora: LoraFile | null): Promise<Agreement> {
  const model = await llama.loadModel({ modelPath: file, gpuLayers: 0 });
  let [square, scale, kl, same, positions, sameAnswers] = [0, 0, 0, 0, 0, 0];
  for (const [i, ids] of prompts.entries()) {
    const want = expected[i];
    if (want === undefined) continue;
    const got = await logitsInLlamaCpp(model, ids, want.logits[0]?.length ?? 0, lora);
    for (const [t, row] of want.logits.entries()) {
      const other = got[t] as Float32Array;
      const [p, q] = [softmax(row), softmax(other)];
      for (let id = 0; id < row.length; id++) {
        square += ((row[id] as number) - (other[id] as number)) ** 2;
        scale += (row[id] as number) ** 2;
        if ((p[id] as number) > 0) kl += (p[id] as number) * Math.log((p[id] as number) / Math.max(q[id] as number, 1e-30));
      }
      if (top(row) === top(other)) same++;
      positions++;
    }
    if ((await completeInLlamaCpp(model, ids, ANSWER_TOKENS, lora)).join() === want.answer.join()) sameAnswers++;
  }
  await model.dispose();
  return {
    distance: Math.sqrt(square / scale),
    kl: kl / positions,
    sameTop: same / positions,
    positions,
    sameAnswers,
    answers: prompts.length,
  };
}

const results: Record<string, Agreement & { readonly bytes: number }> = {};
for (const type of GGUF_TYPES) {
  const output = join(folder, `merged-${type}.gguf`);
  const { bytes } = await exportGguf({ path: merged, output, type });
  results[`merged ${type}`] = { bytes, ...(await agreement(output, null)) };
}
const plain = join(folder, "base-bf16.gguf");
await exportGguf({ path: base, output: plain, type: "bf16" });
const lora = join(folder, "lora.gguf");
const { bytes } = await exportGguf({ path: adapter, base, output: lora, lora: true });
results["adapter on the base in bf16"] = { bytes, ...(await agreement(plain, { filePath: lora, scale: 1 })) };
results["base alone, for comparison"] = { bytes, ...(await agreement(plain, null)) };
await llama.dispose();
const text = `${JSON.stringify({ prompts: PROMPTS, answerTokens: ANSWER_TOKENS, results }, null, 1)}\n`;
const at = process.argv.indexOf("--report");
if (at > 0) writeFileSync(process.argv[at + 1] as string, text);
console.log(text);
