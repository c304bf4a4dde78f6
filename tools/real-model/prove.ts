// Logits of the imported real model beside llama.cpp's and transformers'; writes docs/gallery/real-model.md.
//   node --import ./tools/register-typescript.mjs tools/real-model/prove.ts --python venv/bin/python
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { decodeToF32 } from "../../src/codecs/index.ts";
import { InternalError, memorySource } from "../../src/core/index.ts";
import { loadTokenizer } from "../../src/data/index.ts";
import { importGguf } from "../../src/export/import/index.ts";
import { openSafetensors } from "../../src/formats/index.ts";
import { logitsInLlamaCpp } from "../export/llama-cpp.ts";
import { type Agreement, agreement } from "./agreement.ts";
import { realModel } from "./cache.ts";
import { withLlamaCpp } from "./llama-cpp.ts";
import { ownLogits } from "./own-logits.ts";
import { writePlainGguf } from "./plain-gguf.ts";
import { PASSAGES } from "./texts.ts";

const { values: flags } = parseArgs({ options: { python: { type: "string", default: "python3" } } });
const PAGE = new URL("../../docs/gallery/real-model.md", import.meta.url);
const RESULTS = new URL("./results/logits.json", import.meta.url);
const VOCABULARY = 49_152;
/** The shortest passage has more. */
const PASSAGE_TOKENS = 40;

interface Passage {
  readonly text: string;
  readonly ids: readonly number[];
}

/** transformers' logits of the passages, and what it said while loading. */
async function transformersLogits(
  folder: string,
  passages: readonly Passage[],
): Promise<{ rows: Float32Array[]; said: Record<string, unknown> }> {
  const work = await mkdtemp(join(tmpdir(), "heirloom-real-"));
  try {
    const [ids, out] = [join(work, "ids.json"), join(work, "logits.safetensors")];
    writeFileSync(ids, JSON.stringify(passages));
    const script = new URL("./transformers_logits.py", import.meta.url).pathname;
    const text = execFileSync(flags.python, [script, folder, ids, out], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
    const file = await openSafetensors(memorySource(readFileSync(out), "logits"));
    const rows: Float32Array[] = [];
    for (const [i, passage] of passages.entries()) {
      const all = decodeToF32("F32", await file.read(String(i)));
      rows.push(...passage.ids.map((_, t) => all.slice(t * VOCABULARY, (t + 1) * VOCABULARY)));
    }
    return { rows, said: JSON.parse(text.trim().split("\n").at(-1) ?? "{}") as Record<string, unknown> };
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function llamaRows(gguf: string, passages: readonly Passage[]): Promise<Float32Array[]> {
  return withLlamaCpp(gguf, async (model) => {
    const rows: Float32Array[] = [];
    for (const { ids } of passages) rows.push(...(await logitsInLlamaCpp(model, ids, VOCABULARY)));
    return rows;
  });
}

const row = (what: string, { tokens, sameBest, meanKl, largestKl, largestDifference, largestLogit }: Agreement): string =>
  `| ${what} | ${sameBest} of ${tokens} | ${meanKl.toExponential(1)} | ${largestKl.toExponential(1)} | ${largestDifference.toPrecision(2)} | ${largestLogit.toFixed(1)} |`;

const model = realModel();
if (model === null) throw new InternalError("the proof needs the real model: npm run real-model");
const exact = `${model.folder}-fp32`;
// Made anew each time: what an earlier version of the import left would prove nothing of this one.
for (const [folder, dtype] of [
  [exact, "fp32"],
  [model.folder, "bf16"],
] as const) {
  await rm(folder, { recursive: true, force: true });
  await importGguf(model.gguf, folder, { dtype });
}
const plain = await writePlainGguf(model.gguf, join(model.cache, "plain.F32.gguf"));
const tokenizer = await loadTokenizer(model.folder);
const passages = PASSAGES.map((text) => ({ text, ids: tokenizer.encode(text).slice(0, PASSAGE_TOKENS) }));
const ids = passages.map((passage) => passage.ids);

const stage = (what: string): void => void process.stderr.write(`${what}\n`);
stage("the engine, fp32");
const oursExact = await ownLogits(exact, ids);
stage("the engine, bf16");
const oursBf16 = await ownLogits(model.folder, ids);
stage("transformers");
const { rows: theirs, said } = await transformersLogits(model.folder, passages);
stage("llama.cpp, Q4_1 and F32");
const llamaQuantized = await llamaRows(model.gguf, passages);
const llamaPlain = await llamaRows(plain, passages);

const results = {
  transformers: agreement(theirs, oursBf16),
  llamaPlain: agreement(llamaPlain, oursExact),
  llamaQuantized: agreement(llamaQuantized, oursExact),
  llamaItself: agreement(llamaQuantized, llamaPlain),
  bf16: agreement(oursExact, oursBf16),
};
writeFileSync(RESULTS, `${JSON.stringify({ ...results, transformersSaid: said, node: process.version }, null, 2)}\n`);
const table = [
  "| compared | same best token | mean KL (nats) | largest KL | largest difference | largest logit |",
  "|---|---|---|---|---|---|",
  row("imported as bf16: transformers (fp32) and the engine", results.transformers),
  row("imported as fp32: llama.cpp on the same weights as F32, and the engine", results.llamaPlain),
  row("imported as fp32: llama.cpp on the Q4_1 file, and the engine", results.llamaQuantized),
  row("for comparison: llama.cpp on the Q4_1 file, and llama.cpp on the same weights as F32", results.llamaItself),
  row("for comparison: the engine, imported as fp32 and as bf16", results.bf16),
].join("\n");
const page = readFileSync(PAGE, "utf8");
writeFileSync(PAGE, page.replace(/<!-- results -->[\s\S]*<!-- end of results -->/, `<!-- results -->\n${table}\n<!-- end of results -->`));
process.stdout.write(`${table}\n${JSON.stringify(said)}\n`);
