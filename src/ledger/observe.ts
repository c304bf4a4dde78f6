import { countOf } from "./entry.ts";
import { liveNameFacts } from "./names.ts";
import type { Ledger } from "./types.ts";

/** A tensor of a live model, as the engine and the optimizer have it. */
export interface LiveTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: string;
  readonly bytes: number;
  readonly trainable: boolean;
  /** The group of the optimizer's slot that holds its state; null without one. */
  readonly group: string | null;
}

/**
 * The ledger of what is there. It looks at nothing but the tensors that it is given;
 * that is what makes comparing it with a prediction a proof.
 */
export function observeLedger(tensors: Iterable<LiveTensor>): Ledger {
  const entries = Array.from(tensors, ({ name, shape, dtype, bytes, trainable, group }) => {
    const { module, role } = liveNameFacts(name);
    return {
      name,
      module,
      role: role === "base" && dtype === "NF4" ? ("quantized_base" as const) : role,
      shape: [...shape],
      dtype,
      bytes,
      parameters: countOf(shape),
      trainable,
      group,
      state: "present" as const,
    };
  });
  return { basis: "observed", entries };
}
