/**
 * Tokenization rate of one core over text like the training data, ours beside @huggingface/tokenizers by itself.
 * Usage: node --import ./tools/register-typescript.mjs bench/kernels/tokenize.ts [MODEL_FOLDER] [TEXT_FILE] [--json]
 */
import { readFileSync } from "node:fs";
import { cpus } from "node:os";
import * as library from "@huggingface/tokenizers";
import { createTokenizer } from "../../src/data/index.ts";

const RUNS = 5;
const paths = process.argv.slice(2).filter((argument) => !argument.startsWith("--"));
const here = (path: string): string => new URL(path, import.meta.url).pathname;
const tokenizerPath = paths[0] === undefined ? here("../../vectors/tokenizers/llama3.tokenizer.json") : `${paths[0]}/tokenizer.json`;
const textPath = paths[1] ?? here("../../LICENSE");

const median = (values: number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

/** Repeats a text to about 1 MB, with the repeats made different so that no cache of whole rows can help. */
function textRows(path: string): string[] {
  const lines = readFileSync(path, "utf8").split("\n\n");
  const rows: string[] = [];
  for (let bytes = 0, i = 0; bytes < 1_000_000; i++) {
    const row = `${i} ${lines[i % lines.length]}`;
    rows.push(row);
    bytes += Buffer.byteLength(row);
  }
  return rows;
}

function rate(rows: readonly string[], encode: (text: string) => ArrayLike<number>): { megabytesPerSecond: number; tokens: number } {
  const start = performance.now();
  let tokens = 0;
  for (const row of rows) tokens += encode(row).length;
  const bytes = rows.reduce((sum, row) => sum + Buffer.byteLength(row), 0);
  return { megabytesPerSecond: bytes / 1e3 / (performance.now() - start), tokens };
}

interface Plain {
  encode(text: string, options: object): { ids: number[] };
}
const { Tokenizer } = library as unknown as { Tokenizer: new (json: object, config: object) => Plain };
const json = JSON.parse(readFileSync(tokenizerPath, "utf8")) as object;
const ours = createTokenizer({ tokenizer: json }, tokenizerPath);
const plain = new Tokenizer(json, {});
const rows = textRows(textPath);
const variants = {
  heirloom: (text: string) => ours.encode(text, { addSpecialTokens: false }),
  library: (text: string) => plain.encode(text, { add_special_tokens: false }).ids,
};

const results: Record<keyof typeof variants, number[]> = { heirloom: [], library: [] };
let tokens = 0;
for (let run = 0; run <= RUNS; run++) {
  const names = Object.keys(variants) as (keyof typeof variants)[];
  for (const name of run % 2 === 0 ? names : names.reverse()) {
    const measured = rate(rows, variants[name]);
    tokens = measured.tokens;
    if (run > 0) results[name].push(measured.megabytesPerSecond); // the first run warms up
  }
}
const report = {
  schemaVersion: 1,
  unit: "MB/s, one core",
  tokenizer: tokenizerPath.split("/").at(-1),
  rows: rows.length,
  tokens,
  cpu: cpus()[0]?.model,
  node: process.version,
  median: { heirloom: median(results.heirloom), library: median(results.library) },
  runs: results,
};
if (process.argv.includes("--json")) console.log(JSON.stringify(report));
else
  console.log(
    `heirloom ${report.median.heirloom.toFixed(2)} MB/s, library ${report.median.library.toFixed(2)} MB/s, ${tokens} tokens in ${rows.length} rows (median of ${RUNS})`,
  );
