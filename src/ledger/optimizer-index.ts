import type { Ledger, LedgerEntry } from "./types.ts";

/** Names that transformers' Trainer leaves without weight decay (`get_decay_parameter_names`). */
const NO_DECAY = [/bias/, /layernorm/, /rmsnorm/, /(?:^|\.)norm(?:$|\.)/, /_norm(?:$|\.)/];

/** The two parameter groups that the Trainer gives its optimizer. */
export interface TrainerGroups {
  readonly decay: readonly string[];
  readonly noDecay: readonly string[];
  /** Index in `optimizer.pt` → live name. */
  readonly byIndex: readonly string[];
}

/** Who built the optimizer: each puts the trainable parameters into groups of its own. */
export type OptimizerOrder = "trainer" | "unsloth" | "lora+" | "plain";

/** Parameters of one group, in the order of their indices. */
export interface OrderedGroup {
  readonly name: string;
  readonly entries: readonly LedgerEntry[];
}

/** Whether the Trainer would put a parameter into its group with weight decay. */
export function hasWeightDecay(name: string): boolean {
  return !NO_DECAY.some((pattern) => pattern.test(name.toLowerCase()));
}

const decays = ({ name }: Pick<LedgerEntry, "name">): boolean => hasWeightDecay(name);
const isEmbeddingCopy = ({ name }: LedgerEntry): boolean => name.endsWith("modules_to_save.default.weight");
const isLoraEmbedding = ({ name }: LedgerEntry): boolean => name.includes(".lora_embedding_");
const isLoraB = ({ name, shape }: LedgerEntry): boolean => name.includes("lora_B") || shape.length === 1;

/** Group names and what is in each; a tensor goes to the first that takes it. */
const ORDERS: Readonly<Record<OptimizerOrder, readonly (readonly [name: string, takes: (entry: LedgerEntry) => boolean])[]>> = {
  // transformers/trainer.py, create_optimizer
  trainer: [
    ["decay", decays],
    ["no_decay", () => true],
  ],
  // unsloth/trainer.py, _create_unsloth_optimizer (with embedding_learning_rate)
  unsloth: [
    ["non_embeddings", (entry) => !isEmbeddingCopy(entry)],
    ["embeddings", () => true],
  ],
  // peft/optimizers/loraplus.py, create_loraplus_optimizer
  "lora+": [
    ["groupA", (entry) => !isLoraEmbedding(entry) && !isLoraB(entry)],
    ["embedding", isLoraEmbedding],
    ["groupB", decays],
    ["groupB_no_decay", () => true],
  ],
  // one list of parameters, as any script may give it
  plain: [["default", () => true]],
};

/** The ways in which `entries`, in `named_parameters()` order, may have been given to an optimizer. */
export function optimizerOrders(entries: readonly LedgerEntry[]): { order: OptimizerOrder; groups: readonly OrderedGroup[] }[] {
  return (Object.keys(ORDERS) as OptimizerOrder[]).map((order) => {
    const rules = ORDERS[order];
    const groups = rules.map(([name]) => ({ name, entries: [] as LedgerEntry[] }));
    for (const entry of entries) groups[rules.findIndex(([, takes]) => takes(entry))]?.entries.push(entry);
    return { order, groups };
  });
}

/**
 * Which tensor each index of a Trainer's `optimizer.pt` means: the trainable
 * parameters in `named_parameters()` order, those with weight decay first.
 */
export function trainerParameterIndex(ledger: Ledger): TrainerGroups {
  const trainable = ledger.entries.filter((entry) => entry.trainable);
  const decay = trainable.filter(decays).map(({ name }) => name);
  const noDecay = trainable.filter((entry) => !decays(entry)).map(({ name }) => name);
  return { decay, noDecay, byIndex: [...decay, ...noDecay] };
}
