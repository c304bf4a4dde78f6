// The settings of a row: its own, and what the command line changes of them.
import { InternalError } from "../../src/core/index.ts";

const COMMON = {
  python: process.env["HEIRLOOM_PYTHON"] ?? "python3",
  /** Where models and data are made; nothing in it is removed. */
  work: "/tmp/heirloom-bench",
  /** Where result files go. */
  out: "bench/results",
  /** Model folder instead of a random one of `config`. */
  model: "",
  /** Folder of the same model in 4 bits, instead of a random one. */
  model4bit: "",
  config: "bench/configs/smollm2-135m.json",
  rounds: 5,
  steps: 5,
  warmup: 1,
  batch: 2,
  seq: 512,
  rank: 16,
  threads: 2,
  /** `keep` or `recompute`: of our side. */
  activations: "keep",
  /** GiB that our engine is told; empty: what it finds. */
  memoryLimit: "",
  optimizer: "adamw",
  fullDtype: "F32",
  /** MiB of weights that the products of the bound take turns with. */
  boundMib: 6144,
  /** Rows of instruction-like data. */
  rows: 96,
  /** Data instead of those: JSON Lines of input_ids and labels. */
  data: "",
  /** Tokens to be stepped through. */
  lengths: "256,512,1024,2048,4096,8192",
  /** Tokens of a segment in packed rows. */
  segment: 256,
};

/** What a row is run with. */
export type SpeedSettings = typeof COMMON;

const flagOf = (key: string): string => `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;

/** Names of all flags, for messages. */
const FLAGS: readonly string[] = Object.keys(COMMON).map(flagOf);

function parsed(flag: string, common: string | number, text: string): string | number {
  if (typeof common === "string") return text;
  if (!/^\d+$/.test(text)) throw new InternalError(`${flag}: expected a whole number, found ${text}`);
  return Number(text);
}

/** @param flags `--name value` pairs @throws InternalError for one that there is not */
export function settingsOf(defaults: Readonly<Partial<SpeedSettings>>, flags: readonly string[]): SpeedSettings {
  const given: Record<string, string | number> = {};
  for (let i = 0; i < flags.length; i += 2) {
    const [flag, text] = [flags[i] as string, flags[i + 1]];
    const key = Object.keys(COMMON).find((candidate) => flagOf(candidate) === flag) as keyof SpeedSettings | undefined;
    if (key === undefined) throw new InternalError(`expected one of ${FLAGS.join(", ")}, found ${flag}`);
    if (text === undefined) throw new InternalError(`${flag}: expected a value after it`);
    given[key] = parsed(flag, COMMON[key], text);
  }
  return { ...COMMON, ...defaults, ...given };
}
