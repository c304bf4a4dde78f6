import type { BaseSizes } from "./base-sizes.ts";

/** A full copy (`modules_to_save`) is trained, is in the model but frozen, or is not there. */
export type CopyState = "trained" | "frozen" | "absent";

/** What the copies of embedding and head are, and what they hold. */
export interface CopyChoice {
  readonly embedding: CopyState;
  readonly head: CopyState;
  /** Both are one tensor: `ensure_weight_tying` on a tied base. */
  readonly shared: boolean;
  /** Values in the model. */
  readonly present: number;
  /** Values that are trained. */
  readonly trained: number;
  /** Values in the adapter's file; a shared copy is written twice. */
  readonly stored: number;
}

const STATES: readonly CopyState[] = ["absent", "trained", "frozen"];

/** Every choice of states; the first one has no copies. */
export function copyChoices({ vocabSize, hiddenSize, tied }: BaseSizes): CopyChoice[] {
  const size = vocabSize * hiddenSize;
  const separate = STATES.flatMap((embedding) =>
    STATES.map((head): CopyChoice => {
      const states = [embedding, head];
      const present = size * states.filter((state) => state !== "absent").length;
      return {
        embedding,
        head,
        shared: false,
        present,
        trained: size * states.filter((state) => state === "trained").length,
        stored: present,
      };
    }),
  );
  if (!tied) return separate;
  const shared = (["trained", "frozen"] as const).map((state): CopyChoice => {
    return { embedding: state, head: state, shared: true, present: size, trained: state === "trained" ? size : 0, stored: 2 * size };
  });
  return [...separate, ...shared];
}
