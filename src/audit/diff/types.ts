import type { SafetensorsDtype } from "../../formats/index.ts";

/** A tensor that is not the same on both sides. */
export interface ChangedTensor {
  readonly name: string;
  /** Largest |B − A|; null where the dtype's values are not read (fp8, complex). */
  readonly maxAbs: number | null;
  /** `maxAbs` over the largest |A|; null if that is unknown or zero. */
  readonly maxRel: number | null;
  /** Share of the elements that changed. */
  readonly changedShare: number;
  readonly elements: number;
  readonly dtypeA: SafetensorsDtype;
  readonly dtypeB: SafetensorsDtype;
  /** Elements whose difference is no number. */
  readonly notFinite: number;
}

/** A tensor that has another shape in B. */
export interface ShapeMismatch {
  readonly name: string;
  readonly a: readonly number[];
  readonly b: readonly number[];
}

/** A tensor that has another dtype in B; it is compared by value. */
export interface DtypeDifference {
  readonly name: string;
  readonly a: SafetensorsDtype;
  readonly b: SafetensorsDtype;
}

/** Tensors that one sentence speaks of. */
export interface DiffGroup {
  /** `LoRA`, `embed_tokens`, `lm_head`, `norm`, `bias`, or `other`. */
  readonly name: string;
  readonly same: number;
  readonly changed: number;
  readonly maxAbs: number | null;
  readonly maxRel: number | null;
  /** Share of the elements of the changed tensors that changed. */
  readonly changedShare: number | null;
}

/** The fields of `diff --json`. */
export interface DiffResult {
  readonly a: string;
  readonly b: string;
  /** True if both have the same tensors with the same bytes. */
  readonly identical: boolean;
  readonly changed: readonly ChangedTensor[];
  /** Names of tensors that are the same: in bytes, or in value where the dtypes differ. */
  readonly same: readonly string[];
  readonly onlyInA: readonly string[];
  readonly onlyInB: readonly string[];
  readonly shapeMismatch: readonly ShapeMismatch[];
  readonly dtypes: readonly DtypeDifference[];
  readonly groups: readonly DiffGroup[];
  readonly verdict: string;
  readonly notes: readonly string[];
}
