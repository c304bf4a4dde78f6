import type { Ledger } from "./types.ts";

/** Names that transformers' Trainer leaves without weight decay (`get_decay_parameter_names`). */
const NO_DECAY = [/bias/, /layernorm/, /rmsnorm/, /(?:^|\.)norm(?:$|\.)/, /_norm(?:$|\.)/];

/** The two parameter groups that the Trainer gives its optimizer. */
export interface TrainerGroups {
  readonly decay: readonly string[];
  readonly noDecay: readonly string[];
  /** Index in `optimizer.pt` → live name. */
  readonly byIndex: readonly string[];
}

/**
 * Which tensor each index of a Trainer's `optimizer.pt` means: the trainable
 * parameters in `named_parameters()` order, those with weight decay first.
 */
export function trainerParameterIndex(ledger: Ledger): TrainerGroups {
  const names = ledger.entries.filter(({ trainable }) => trainable).map(({ name }) => name);
  const decays = (name: string) => !NO_DECAY.some((pattern) => pattern.test(name.toLowerCase()));
  const decay = names.filter(decays);
  const noDecay = names.filter((name) => !decays(name));
  return { decay, noDecay, byIndex: [...decay, ...noDecay] };
}
