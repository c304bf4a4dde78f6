import type { BaseSizes, Counting } from "./base-sizes.ts";
import { type CountRange, countRange, type Observed, totalsFor, within } from "./constraint.ts";
import { type CopyChoice, copyChoices } from "./copy-states.ts";

/** PEFT's `bias`: none are trained, all of the model's, or those of modules with LoRA. */
export type BiasChoice = "none" | "all" | "lora_only";

/** One configuration whose counts are those of the banner. */
export interface Solution {
  /** `full`: the base itself is trained. `none`: there is no adapter and nothing is trained. */
  readonly method: "lora" | "dora" | "full" | "none";
  /** Null if there is no LoRA, or if LoRA is frozen and the number of all parameters is not known exactly. */
  readonly rank: number | null;
  /** Linear modules of the layers, then `lm_head` and `embed_tokens` where they have LoRA; empty if not known. */
  readonly targets: readonly string[];
  /** Layers whose modules have LoRA. */
  readonly layerCount: number;
  readonly loraState: "trained" | "frozen" | "absent";
  readonly copies: CopyChoice;
  readonly bias: BiasChoice;
  readonly counting: Counting;
  readonly trainable: number;
  /** Null where {@link rank} is not known. */
  readonly all: number | null;
  /** Values of LoRA (and DoRA) tensors; null where {@link rank} is not known. */
  readonly lora: number | null;
  /** Values of trained biases. */
  readonly biases: number;
}

/** A set of the linear modules, with its sums per layer. */
interface Selection {
  readonly names: readonly string[];
  readonly perRank: number;
  readonly outputs: number;
  readonly bias: number;
}

/** LoRA on the embeddings: none, one or both. */
interface EmbeddingLora {
  readonly names: readonly string[];
  readonly perRank: number;
  /** What DoRA adds; null if the pair cannot be had with DoRA here. */
  readonly outputs: number | null;
}

/** All subsets of the layers' linear modules, the empty one first. */
function selections({ linears }: BaseSizes): Selection[] {
  return Array.from({ length: 2 ** linears.length }, (_, mask) => {
    const chosen = linears.filter((_linear, at) => Math.floor(mask / 2 ** at) % 2 === 1);
    const sum = (key: "perRank" | "outputs" | "bias") => chosen.reduce((total, linear) => total + linear[key], 0);
    return { names: chosen.map(({ name }) => name), perRank: sum("perRank"), outputs: sum("outputs"), bias: sum("bias") };
  });
}

function embeddingLoras({ vocabSize, hiddenSize }: BaseSizes, copies: CopyChoice): EmbeddingLora[] {
  const pair = vocabSize + hiddenSize;
  const all: EmbeddingLora[] = [
    { names: [], perRank: 0, outputs: 0 },
    { names: ["lm_head"], perRank: pair, outputs: vocabSize },
    { names: ["embed_tokens"], perRank: pair, outputs: null },
    { names: ["lm_head", "embed_tokens"], perRank: 2 * pair, outputs: null },
  ];
  // PEFT puts no LoRA on a module that is copied in full.
  return all.filter(
    ({ names }) =>
      (copies.embedding === "absent" || !names.includes("embed_tokens")) && (copies.head === "absent" || !names.includes("lm_head")),
  );
}

/** What the searches below share. */
interface Case {
  readonly base: BaseSizes;
  readonly observed: Observed;
  readonly copies: CopyChoice;
  readonly bias: BiasChoice;
  readonly counting: Counting;
  readonly selections: readonly Selection[];
}

/** Calls `found` for every configuration whose LoRA tensors hold a number of values that `allowed` gives for its biases. */
function eachLora(
  scene: Case,
  allowed: (biases: number) => CountRange,
  found: (lora: Pick<Solution, "method" | "rank" | "targets" | "layerCount" | "lora" | "biases">) => void,
): void {
  const { base, copies, bias } = scene;
  for (const embeddings of embeddingLoras(base, copies)) {
    for (const selection of scene.selections) {
      if (selection.names.length + embeddings.names.length === 0) continue;
      const targets = [...selection.names, ...embeddings.names];
      // Without a module in the layers their number means nothing.
      const first = selection.names.length === 0 ? base.layerCount : 1;
      for (let layers = first; layers <= base.layerCount; layers++) {
        const layerCount = selection.names.length === 0 ? 0 : layers;
        const biases = bias === "none" ? 0 : bias === "all" ? base.biases : layerCount * selection.bias;
        if (bias === "lora_only" && biases === 0) continue;
        const range = allowed(biases);
        const perRank = layerCount * selection.perRank + embeddings.perRank;
        const magnitudes = embeddings.outputs === null ? null : layerCount * selection.outputs + embeddings.outputs;
        for (const [method, fixed] of [["lora", 0] as const, ["dora", magnitudes] as const]) {
          if (fixed === null) continue;
          const highest = Math.floor((range.high - fixed) / perRank);
          for (let rank = Math.max(1, Math.ceil((range.low - fixed) / perRank)); rank <= highest; rank++) {
            found({ method, rank, targets, layerCount, lora: rank * perRank + fixed, biases });
          }
        }
      }
    }
  }
}

/** The adapter is trained; copies as they are. */
function trainedLora(scene: Case, solutions: Solution[]): void {
  const { base, observed, copies, bias, counting } = scene;
  const trainable = countRange(observed.trainable);
  const rest = base.parameters[counting] + copies.present;
  const isExact = trainable.low === trainable.high;
  // With an exact count the total follows before anything is tried, but where biases hang on the targets.
  if (isExact && bias !== "lora_only") {
    const biases = bias === "all" ? base.biases : 0;
    if (!within(totalsFor(observed, trainable.low), rest + trainable.low - copies.trained - biases)) return;
  }
  eachLora(
    scene,
    (biases) => ({ low: trainable.low - copies.trained - biases, high: trainable.high - copies.trained - biases }),
    (found) => {
      const lora = found.lora ?? 0;
      const trained = lora + copies.trained + found.biases;
      const all = rest + lora;
      if (within(totalsFor(observed, trained), all)) {
        solutions.push({ ...found, loraState: "trained", copies, bias, counting, trainable: trained, all });
      }
    },
  );
}

/** The adapter is there, but only copies and biases are trained. */
function frozenLora(scene: Case, solutions: Solution[]): void {
  const { base, observed, copies, bias, counting } = scene;
  if (bias === "lora_only") return;
  const trainable = copies.trained + (bias === "all" ? base.biases : 0);
  if (!within(countRange(observed.trainable), trainable)) return;
  const rest = base.parameters[counting] + copies.present;
  const totals = totalsFor(observed, trainable);
  const common = { loraState: "frozen", copies, bias, counting, trainable } as const;
  if (observed.all !== null && observed.all.within === 0) {
    const range = { low: totals.low - rest, high: totals.high - rest };
    eachLora(
      scene,
      () => range,
      (found) => solutions.push({ ...found, ...common, all: rest + (found.lora ?? 0) }),
    );
  } else if (totals.low <= totals.high && totals.high > rest) {
    const unknown = { method: "lora", rank: null, targets: [], layerCount: base.layerCount, lora: null } as const;
    solutions.push({ ...unknown, ...common, all: null, biases: trainable - copies.trained });
  }
}

/** No adapter: the base as it is, or trained itself. */
function withoutLora(base: BaseSizes, observed: Observed, copies: CopyChoice, counting: Counting, solutions: Solution[]): void {
  const all = base.parameters[counting];
  for (const [method, trainable] of [["full", all] as const, ["none", 0] as const]) {
    if (!within(countRange(observed.trainable), trainable) || !within(totalsFor(observed, trainable), all)) continue;
    solutions.push({
      method,
      rank: null,
      targets: [],
      layerCount: 0,
      loraState: "absent",
      copies,
      bias: "none",
      counting,
      trainable,
      all,
      lora: null,
      biases: 0,
    });
  }
}

/**
 * Every configuration that prints these numbers: ranks without a bound, all sets of
 * the layers' linear modules with and without LoRA on the embeddings, every number of
 * layers, full copies trained, frozen or absent, biases, DoRA, 4-bit weights counted
 * by value or by byte, LoRA itself frozen, or the base trained without an adapter.
 */
export function searchSolutions(base: BaseSizes, observed: Observed): Solution[] {
  const solutions: Solution[] = [];
  const subsets = selections(base);
  const biases: BiasChoice[] = base.biases === 0 ? ["none"] : ["none", "all", "lora_only"];
  // Without a total or a share nothing tells one way of counting the base from the other.
  const countings: Counting[] = observed.all === null && observed.percent === null ? ["values"] : ["values", "packed"];
  for (const counting of countings) {
    const choices = copyChoices(base);
    for (const copies of choices) {
      for (const bias of biases) {
        const scene: Case = { base, observed, copies, bias, counting, selections: subsets };
        trainedLora(scene, solutions);
        frozenLora(scene, solutions);
      }
    }
    if (choices[0] !== undefined) withoutLora(base, observed, choices[0], counting, solutions);
  }
  return solutions;
}
