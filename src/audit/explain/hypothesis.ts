import type { BaseSizes, Counting } from "./base-sizes.ts";
import type { CopyState } from "./copy-states.ts";
import { unusualness } from "./ordinary.ts";
import type { BiasChoice, Solution } from "./search.ts";

/** Counts as PEFT prints them. */
export interface TrainedCounts {
  readonly trainable: number;
  readonly all: number;
  /** 100 · trainable / all. */
  readonly percent: number;
}

/** Dtypes that adapters are stored in. */
export type FileDtype = "F32" | "BF16" | "F16";

/** What LoRA matrices and full copies are stored in. */
export interface FileDtypes {
  readonly lora: FileDtype;
  /** Null if the adapter holds no full copies. */
  readonly copies: FileDtype | null;
}

/** Bytes of the tensors in the adapter's file, in one choice of dtypes. */
export interface FileSize extends FileDtypes {
  readonly bytes: number;
}

/** A full copy of an embedding, as `modules_to_save` names it. */
export interface CopyHypothesis {
  readonly module: "embed_tokens" | "lm_head";
  readonly state: CopyState;
  /** True if both copies are one tensor (`ensure_weight_tying`). */
  readonly shared: boolean;
}

/** A place in the adapter's own files that an explanation contradicts. */
export interface Conflict {
  /** `adapter_config.json` or `adapter_model.safetensors` */
  readonly where: string;
  readonly message: string;
}

/** One configuration that gives the numbers of a banner. */
export interface Hypothesis {
  /** `full`: the base itself is trained. `none`: there is no adapter and nothing is trained. */
  readonly method: Solution["method"];
  /** Null without LoRA, or if the numbers do not tell it. */
  readonly rank: number | null;
  /** Names for `target_modules`; empty without LoRA, or if the numbers do not tell. */
  readonly targets: readonly string[];
  /** How many layers have LoRA; which ones no count can tell. Null if the numbers do not tell. */
  readonly layers: { readonly count: number; readonly of: number } | null;
  /** Whether the LoRA tensors are trained. */
  readonly loraState: Solution["loraState"];
  readonly fullCopies: readonly CopyHypothesis[];
  readonly bias: BiasChoice;
  /** `packed`: the printer counted 4-bit weights by their bytes, half of their values. */
  readonly counting: Counting;
  readonly trainable: number;
  /** Null if the numbers do not tell. */
  readonly all: number | null;
  readonly percent: number | null;
  /** True if every number of the banner is met; else {@link misses} says which are not. */
  readonly exact: boolean;
  readonly misses: readonly string[];
  /** What the same adapter prints when all that it holds is trained; null if it has none, or if the numbers do not tell. */
  readonly unfrozen: TrainedCounts | null;
  readonly files: readonly FileSize[];
  readonly conflictsWith: readonly Conflict[];
  /** Points against it as an ordinary configuration; the list is in this order. */
  readonly unusualness: number;
}

/** Counts with their share. */
export function trainedCounts(trainable: number, all: number): TrainedCounts {
  return { trainable, all, percent: all === 0 ? 0 : (100 * trainable) / all };
}

const BYTES: Readonly<Record<FileDtype, number>> = { F32: 4, BF16: 2, F16: 2 };

/** What PEFT writes: fp32 LoRA with bf16 copies as Unsloth has it first, then both in one dtype. */
const USUAL_DTYPES: readonly FileDtypes[] = [
  { lora: "F32", copies: "BF16" },
  { lora: "F32", copies: "F32" },
  { lora: "BF16", copies: "BF16" },
];

/** Bytes of the tensors in the file: first in the dtypes of the adapter that is known, if one is, then in {@link USUAL_DTYPES}. */
export function fileSizes(lora: number, stored: number, known: FileDtypes | null): FileSize[] {
  const wanted = known === null ? USUAL_DTYPES : [{ ...known, copies: known.copies ?? "BF16" }, ...USUAL_DTYPES];
  const sizes = wanted.map(
    ({ lora: own, copies }): FileSize => ({
      lora: own,
      copies: stored === 0 ? null : copies,
      bytes: lora * BYTES[own] + (copies === null ? 0 : stored * BYTES[copies]),
    }),
  );
  return sizes.filter((size, at) => at === sizes.findIndex((other) => other.lora === size.lora && other.copies === size.copies));
}

/** Values that PEFT stores beside LoRA: copies, biases, and the weights under LoRA on an embedding. */
function storedBeside({ copies, biases, targets }: Solution, { vocabSize, hiddenSize }: BaseSizes): number {
  const wrapped = targets.filter((name) => name === "lm_head" || name === "embed_tokens").length;
  return copies.stored + biases + wrapped * vocabSize * hiddenSize;
}

/** A solution as it is told to people and scripts. */
export function hypothesisOf(
  solution: Solution,
  base: BaseSizes,
  more: Pick<Hypothesis, "exact" | "misses" | "conflictsWith">,
  dtypes: FileDtypes | null,
): Hypothesis {
  const { method, rank, targets, layerCount, loraState, copies, bias, counting, trainable, all, lora } = solution;
  return {
    method,
    rank,
    targets,
    layers: method === "full" || method === "none" || rank === null ? null : { count: layerCount, of: base.layerCount },
    loraState,
    fullCopies: [
      { module: "embed_tokens", state: copies.embedding, shared: copies.shared },
      { module: "lm_head", state: copies.head, shared: copies.shared },
    ],
    bias,
    counting,
    trainable,
    all,
    percent: all === null ? null : trainedCounts(trainable, all).percent,
    unfrozen: lora === null || all === null ? null : trainedCounts(lora + copies.present + solution.biases, all),
    files: lora === null ? [] : fileSizes(lora, storedBeside(solution, base), dtypes),
    unusualness: unusualness(solution, base),
    ...more,
  };
}

/** First what the adapter's files do not contradict, then the ordinary; after that the order is arbitrary but fixed. */
export function byOrdinariness(a: Hypothesis, b: Hypothesis): number {
  return (
    Number(a.conflictsWith.length > 0) - Number(b.conflictsWith.length > 0) ||
    a.unusualness - b.unusualness ||
    (b.layers?.count ?? 0) - (a.layers?.count ?? 0) ||
    b.targets.length - a.targets.length ||
    (a.rank ?? 0) - (b.rank ?? 0)
  );
}
