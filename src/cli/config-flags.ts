import type { FlagParametersForType } from "@stricli/core";
import type { CliContext } from "./command.ts";
import { type RowFlags, rowFlags } from "./row-flags.ts";

/** Flags for single keys of run.yaml, and the key that each stands for. */
export const CONFIG_FLAG_KEYS = {
  base: "base",
  output: "output",
  rank: "adapter.rank",
  learningRate: "training.learningRate",
  steps: "training.steps",
  epochs: "training.epochs",
  seed: "training.seed",
  threads: "engine.threads",
  format: "data.format",
  columns: "data.columns",
  tools: "data.tools",
  cache: "data.cache",
} as const;

type TextKeys = Exclude<keyof typeof CONFIG_FLAG_KEYS, keyof RowFlags | "cache">;

/** The flags of every command that takes a configuration. */
export interface ConfigFlags extends Partial<Record<TextKeys, string>>, RowFlags {
  readonly cache?: boolean;
  readonly config?: string;
  readonly preset?: string;
  readonly set?: readonly string[];
}

/** A flag as people type it, for messages. */
export function typedFlag(name: string, value?: unknown): string {
  return `--${value === false ? "no-" : ""}${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** A flag whose text is kept as typed. */
export function textFlag(brief: string, placeholder: string) {
  return { kind: "parsed", parse: (text: string) => text, optional: true, brief, placeholder } as const;
}

/** The same, given as often as one likes. */
export function textsFlag(brief: string, placeholder: string) {
  return { ...textFlag(brief, placeholder), variadic: true } as const;
}

/** `--change`: what may be otherwise than in what is gone on with; may be given several times. */
export function changeFlag(brief: string) {
  return textsFlag(brief, "name[=value]");
}

/** Argument table of {@link ConfigFlags}. */
export const configFlags: FlagParametersForType<ConfigFlags, CliContext> = {
  config: textFlag("Run file (YAML or JSON)", "run.yaml"),
  preset: textFlag("Start from a preset; the file and flags override it", "name"),
  base: textFlag("Folder of the base model", "path"),
  output: textFlag("Folder that run folders are made in", "path"),
  rank: textFlag("LoRA rank", "number"),
  learningRate: textFlag("Peak learning rate", "number"),
  steps: textFlag("Updates to make", "number"),
  epochs: textFlag("Passes over the data", "number"),
  seed: textFlag("Seed of initialization, order and dropout", "number"),
  threads: textFlag("Threads of the products", "number"),
  ...rowFlags,
  cache: { kind: "boolean", optional: true, brief: "Keep tokens on disk, so that the same data start at once the next time; default: yes" },
  set: textsFlag("Any key of the run file, for example --set training.accumulation=8", "key=value"),
};
