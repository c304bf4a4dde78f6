// Tokenization rate of one core over text like the training data, ours beside @huggingface/tokenizers by itself.
//
//   npm run bench -- tokenize [--model FOLDER] [--text FILE] [--json FILE]
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import * as library from "@huggingface/tokenizers";
import { createTokenizer } from "../../src/data/index.ts";
import { type Spread, spread, writeKernelReport } from "../steps/report.ts";

const RUNS = 5;
const DEFAULT_TOKENIZER = "vectors/tokenizers/llama3.tokenizer.json";
const DEFAULT_TEXT = "LICENSE";

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

type Side = "heirloom" | "library";
const SIDES: readonly Side[] = ["heirloom", "library"];

/** MB/s of each run, the two sides in turn and in changing order. */
function measureTokenizers(tokenizerPath: string, rows: readonly string[]): { rates: Readonly<Record<Side, Spread>>; tokens: number } {
  const json = JSON.parse(readFileSync(tokenizerPath, "utf8")) as object;
  const ours = createTokenizer({ tokenizer: json }, tokenizerPath);
  const plain = new Tokenizer(json, {});
  const encoders: Readonly<Record<Side, (text: string) => ArrayLike<number>>> = {
    heirloom: (text) => ours.encode(text, { addSpecialTokens: false }),
    library: (text) => plain.encode(text, { add_special_tokens: false }).ids,
  };
  const rates: Record<Side, number[]> = { heirloom: [], library: [] };
  let tokens = 0;
  for (let run = 0; run <= RUNS; run++) {
    for (const side of run % 2 === 0 ? SIDES : SIDES.toReversed()) {
      const measured = rate(rows, encoders[side]);
      tokens = measured.tokens;
      if (run > 0) rates[side].push(measured.megabytesPerSecond); // the first run warms up
    }
  }
  return { rates: { heirloom: spread(rates.heirloom), library: spread(rates.library) }, tokens };
}

/** The benchmark as `npm run bench -- tokenize` runs it. */
export async function tokenizeBench(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: { model: { type: "string" }, text: { type: "string", default: DEFAULT_TEXT }, json: { type: "string" } },
  });
  const tokenizerPath = values.model === undefined ? DEFAULT_TOKENIZER : join(values.model, "tokenizer.json");
  const rows = textRows(values.text);
  const { rates, tokens } = measureTokenizers(tokenizerPath, rows);
  console.log(`| ${tokens} tokens in ${rows.length} rows | MB/s (min – max) |\n| --- | --- |`);
  for (const side of SIDES)
    console.log(`| ${side} | ${rates[side].median.toFixed(2)} (${rates[side].min.toFixed(2)} – ${rates[side].max.toFixed(2)}) |`);
  await writeKernelReport(values.json, {
    unit: "MB/s, one core",
    tokenizer: tokenizerPath,
    text: values.text,
    rows: rows.length,
    tokens,
    rates,
  });
}
