// Models and data that rows need, made once in the folder of work.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { RandomStream } from "../../src/core/index.ts";
import { ownProcess } from "./processes.ts";
import type { SpeedSettings } from "./settings.ts";

/** A folder of random weights of the settings' shape; in 4 bits, its linear layers are as bitsandbytes saves them. */
export function randomModel({ work, config }: SpeedSettings, bits: 4 | 16): string {
  const out = join(work, `${basename(config, ".json")}${bits === 4 ? "-nf4" : ""}`);
  if (existsSync(join(out, "config.json"))) return out;
  mkdirSync(work, { recursive: true });
  process.stderr.write(`making ${out}\n`);
  const [program = "", ...parameters] = ownProcess("tools/base/random-model.ts", {
    config,
    out,
    ...(bits === 4 ? { nf4: true as const } : {}),
  });
  execFileSync(program, parameters, { stdio: ["ignore", "ignore", "inherit"] });
  return out;
}

/** ln(length) is normal: half of the rows are at most 120 tokens, one in twenty more than 410. */
const LENGTH = { median: 120, deviation: 0.75, shortest: 16, longest: 1024 };
/** The part of a row that has no labels, its prompt: 0.45 on average, evenly between these. */
const PROMPT = { least: 0.25, most: 0.65 };
/** Ids below usually are of padding, start and end. */
const FIRST_ID = 3;

/** One row like those of instruction data: what counts are its lengths. */
function instructionRow(stream: RandomStream, vocabSize: number): { input_ids: number[]; labels: number[] } {
  const { median, deviation, shortest, longest } = LENGTH;
  const length = Math.min(longest, Math.max(shortest, Math.round(median * Math.exp(deviation * stream.nextNormal()))));
  const share = PROMPT.least + (PROMPT.most - PROMPT.least) * stream.nextFloat();
  const prompt = Math.min(length - 1, Math.max(1, Math.round(length * share)));
  const ids = Array.from({ length }, () => FIRST_ID + stream.nextInt(vocabSize - FIRST_ID));
  return { input_ids: ids, labels: ids.map((id, i) => (i < prompt ? -100 : id)) };
}

/** A file of instruction-like rows; the same settings give the same bytes. */
export function instructionData({ work, rows, data }: SpeedSettings, vocabSize: number): string {
  if (data !== "") return data;
  const path = join(work, `instructions-${rows}-${vocabSize}.jsonl`);
  const stream = new RandomStream(0, "instructions");
  mkdirSync(work, { recursive: true });
  writeFileSync(path, Array.from({ length: rows }, () => `${JSON.stringify(instructionRow(stream, vocabSize))}\n`).join(""));
  return path;
}
