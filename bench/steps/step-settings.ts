// What one of our own measured processes is told, in one place: a benchmark row writes these flags, a process reads them.
import { parseArgs } from "node:util";
import type { CachePolicy } from "../../src/engine/index.ts";

const OPTIONS = {
  model: { type: "string", default: "" },
  batch: { type: "string", default: "2" },
  seq: { type: "string", default: "512" },
  rank: { type: "string", default: "16" },
  steps: { type: "string", default: "5" },
  warmup: { type: "string", default: "1" },
  /** Learning rate; groups are at a share of it. */
  rate: { type: "string", default: "1e-4" },
  /** What is trained: `lora`, or `all` for every parameter of the base. */
  train: { type: "string", default: "lora" },
  /** Modules trained in full, by commas. */
  full: { type: "string", default: "" },
  /** What the rate of a full embedding is multiplied with, in a group of its own. */
  "embedding-ratio": { type: "string", default: "1" },
  "full-dtype": { type: "string", default: "F32" },
  optimizer: { type: "string", default: "adamw" },
  activations: { type: "string", default: "keep" },
  "memory-limit": { type: "string", default: "" },
  /** `nf4` quantizes on load; `none` takes the folder as it is (one that holds 4 bits stays in them). */
  quantization: { type: "string", default: "nf4" },
  cache: { type: "string", default: "auto" },
  threads: { type: "string", default: "" },
  /** JSON Lines of input_ids and labels; one epoch of it, packed into rows of `seq`, instead of random rows. */
  data: { type: "string", default: "" },
  /** Random rows as several segments of at most this many tokens; 0: one segment a row. */
  segment: { type: "string", default: "0" },
  /** The products of the same step alone: `none`, `beside` each step, or `after` all. */
  bound: { type: "string", default: "none" },
  "bound-mib": { type: "string", default: "6144" },
  /** Look at every tensor and embedding row before and after. */
  moved: { type: "boolean", default: false },
  /** Time attention with the runtime's profiler. */
  attention: { type: "boolean", default: false },
} as const;

/** The settings of one process. */
export interface StepSettings {
  readonly model: string;
  readonly batch: number;
  readonly sequence: number;
  readonly rank: number;
  readonly steps: number;
  readonly warmup: number;
  readonly rate: number;
  readonly train: "lora" | "all";
  readonly full: readonly string[];
  readonly embeddingRatio: number;
  readonly fullDtype: "F32" | "BF16";
  readonly optimizer: "adamw" | "adamw8bit";
  readonly activations: "keep" | "recompute";
  /** Bytes; null: what the engine finds. */
  readonly memoryLimit: number | null;
  readonly quantization: "nf4" | "none";
  readonly cache: CachePolicy;
  readonly threads: number | null;
  readonly data: string;
  readonly segment: number;
  readonly bound: "none" | "beside" | "after";
  readonly boundBytes: number;
  readonly moved: boolean;
  readonly attention: boolean;
}

/** Reads the flags of a process. */
export function readStepSettings(args: string[] = process.argv.slice(2)): StepSettings {
  const { values } = parseArgs({ args, options: OPTIONS });
  return {
    model: values.model,
    batch: Number(values.batch),
    sequence: Number(values.seq),
    rank: Number(values.rank),
    steps: Number(values.steps),
    warmup: Number(values.warmup),
    rate: Number(values.rate),
    train: values.train as StepSettings["train"],
    full: values.full === "" ? [] : values.full.split(","),
    embeddingRatio: Number(values["embedding-ratio"]),
    fullDtype: values["full-dtype"] as StepSettings["fullDtype"],
    optimizer: values.optimizer as StepSettings["optimizer"],
    activations: values.activations as StepSettings["activations"],
    memoryLimit: values["memory-limit"] === "" ? null : Number(values["memory-limit"]) * 2 ** 30,
    quantization: values.quantization as StepSettings["quantization"],
    cache: values.cache as CachePolicy,
    threads: values.threads === "" ? null : Number(values.threads),
    data: values.data,
    segment: Number(values.segment),
    bound: values.bound as StepSettings["bound"],
    boundBytes: Number(values["bound-mib"]) * 2 ** 20,
    moved: values.moved,
    attention: values.attention,
  };
}
