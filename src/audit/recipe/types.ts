import type { LoraPeftConfig } from "../../formats/index.ts";
import type { AdapterRecord } from "../../runs/index.ts";

/** Tools that a recipe can be written for. */
export const RECIPE_TOOLS = ["unsloth", "peft", "trl", "axolotl", "llama-factory"] as const;

/** Name of such a tool. */
export type RecipeTool = (typeof RECIPE_TOOLS)[number];

/** One trained tensor, as the guard compares it. */
export interface GuardedTensor {
  /** Live name without wrapper and adapter name. */
  readonly key: string;
  readonly shape: readonly number[];
  /** Bytes per value in the file: training in fewer would round. */
  readonly valueBytes: number;
  readonly group: string;
  readonly role: string;
}

/** A learning-rate group; null where no file tells. */
export interface RecipeGroup {
  readonly name: string;
  readonly learningRate: number | null;
  readonly weightDecay: number;
}

/** Everything that files tell about how to go on with an adapter. */
export interface RecipeSource {
  /** Folder of the adapter's files. */
  readonly folder: string;
  readonly config: LoraPeftConfig;
  readonly base: string;
  /** True or false where a record or the base's name tells; null where none does. */
  readonly quantized: boolean | null;
  readonly doubleQuant: boolean;
  readonly tensors: readonly GuardedTensor[];
  readonly groups: readonly RecipeGroup[];
  readonly record: AdapterRecord | null;
  /** A checkpoint that Trainer can resume from, with its plan; null for an adapter alone. */
  readonly resume: {
    readonly step: number | null;
    readonly maxSteps: number | null;
    readonly arguments: Readonly<Record<string, unknown>>;
  } | null;
  readonly notes: readonly string[];
}

/** A file of a recipe. */
export interface RecipeFile {
  readonly name: string;
  readonly text: string;
}

/** What `recipe --json` gives. */
export interface RecipeResult {
  readonly adapter: string;
  /** Null for the guard alone. */
  readonly tool: RecipeTool | null;
  /** How the adapter is gone on with: from a Trainer checkpoint, or from its weights. */
  readonly start: "checkpoint" | "weights";
  readonly trained: { readonly tensors: number; readonly parameters: number };
  readonly files: readonly RecipeFile[];
  /** How to run it. */
  readonly run: string | null;
  readonly notes: readonly string[];
}
