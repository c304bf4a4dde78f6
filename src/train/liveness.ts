import { bf16ToF32 } from "../codecs/index.ts";
import { HeirloomError, type Problem } from "../core/index.ts";
import { gradientPieces, type Parameter } from "../engine/index.ts";

/** Elements watched per tensor: spread evenly, or all of a smaller tensor. Any update by Adam moves nearly every element, so few would do. */
const WATCHED = 4096;
/** Rows of an embedding among them: several, because a token that no label follows has no gradient. */
const WATCHED_ROWS = 64;
/** Updates with a non-zero rate before the verdict: with B = 0, A has no gradient until B has moved once. */
const UPDATES_NEEDED = 2;
/** Relative difference that fp32 arithmetic on the decayed value may leave: a few roundings of 2⁻²⁴. */
const ROUNDING = 4 * 2 ** -24;

interface Watch {
  readonly parameter: Parameter;
  readonly indices: Uint32Array;
  readonly before: Float32Array;
  /** Product of (1 − lr·λ) since `before`. */
  decay: number;
  hadGradient: boolean;
  /** Values before the update under way; of bf16 masters only. */
  previous: Float32Array;
  movedUnrounded: boolean;
}

/** `wanted` of the numbers below `length`, or all of them, evenly spread. */
function spread(length: number, wanted: number): Uint32Array {
  const count = Math.min(wanted, length);
  return Uint32Array.from({ length: count }, (_, i) => Math.floor((i * length) / count));
}

/** Positions to watch: on rows that were seen for an embedding, else evenly spread. */
function watchedIndices(parameter: Parameter, seenRows: readonly number[] | null): Uint32Array {
  if (seenRows === null) return spread(parameter.values.length, WATCHED);
  const width = parameter.shape[1] ?? 1;
  const rows = Array.from(spread(seenRows.length, WATCHED_ROWS), (i) => seenRows[i] as number);
  const columns = [...spread(width, Math.floor(WATCHED / Math.max(1, rows.length)))];
  return Uint32Array.from(rows.flatMap((row) => columns.map((column) => row * width + column)));
}

function snapshot(values: Float32Array | Uint16Array | Uint8Array, indices: Uint32Array): Float32Array {
  return Float32Array.from(indices, (i) => values[i] as number);
}

/** The same of a trained tensor, as fp32. */
function sample(parameter: Parameter, indices: Uint32Array): Float32Array {
  if (parameter.masterDtype === "F32") return snapshot(parameter.values, indices);
  return bf16ToF32(Uint16Array.from(indices, (i) => parameter.values[i] as number));
}

function anyNonZero(values: Float32Array): boolean {
  for (let i = 0; i < values.length; i++) if (values[i] !== 0) return true;
  return false;
}

/** Whether a value differs from `from`, shrunk by `decay`, by more than rounding explains. */
function isMoved(value: number, from: number, decay: number): boolean {
  return Math.abs(value - from * decay) > ROUNDING * Math.abs(from * decay);
}

/** Whether a watched element differs from `from`, shrunk by `decay`, by more than rounding explains. */
function differs({ parameter, indices }: Watch, from: Float32Array, decay: number): boolean {
  return sample(parameter, indices).some((value, i) => isMoved(value, from[i] as number, decay));
}

/**
 * Whether a tensor moved beyond what weight decay and rounding explain. A bf16
 * master is judged on each update's values before they are rounded: stochastic
 * rounding moves elements by itself, and may leave a small update without trace.
 */
function moved(watch: Watch): boolean {
  return watch.parameter.masterDtype === "BF16" ? watch.movedUnrounded : differs(watch, watch.before, watch.decay);
}

/** A tensor that no update may touch, and the memory that it lies in. */
export interface FrozenTensor {
  readonly name: string;
  readonly memory: readonly (Float32Array | Uint16Array | Uint8Array)[];
}

/** Takes a sample of each frozen tensor; returns the names of those that have changed since. */
function watchFrozen(tensors: readonly FrozenTensor[]): () => string[] {
  const watches = tensors.flatMap(({ name, memory }) =>
    memory.map((values) => {
      const indices = spread(values.length, WATCHED);
      return { name, values, indices, before: snapshot(values, indices) };
    }),
  );
  return () => {
    const changed = watches.filter(({ values, indices, before }) =>
      indices.some((index, i) => !Object.is(Math.fround(values[index] as number), before[i])),
    );
    return [...new Set(changed.map(({ name }) => name))];
  };
}

/** A run's tensors as the check sees them. */
export interface LivenessSubjects {
  /** Live names that the run's ledger says are trainable. */
  readonly expected: ReadonlySet<string>;
  /** Every tensor that the optimizer could reach. */
  readonly parameters: readonly Parameter[];
  /** Every other tensor of the model. */
  readonly frozen: readonly FrozenTensor[];
  /** Rows of the input embedding seen so far, for tensors that are one; null for all others. */
  seenRows(parameter: Parameter): readonly number[] | null;
}

/** What the check found; null while it cannot be said yet. */
export interface LivenessVerdict {
  readonly ok: boolean;
  readonly checked: readonly string[];
  readonly problems: readonly Problem[];
}

/**
 * Proof by observation: each tensor that the ledger calls trainable had a
 * gradient and moved beyond what weight decay explains, and no other moved.
 * Looks at values and gradients only; what was compiled or planned is not asked.
 */
export class Liveness {
  readonly #subjects: LivenessSubjects;
  #watches: Watch[] | null = null;
  #movedFrozen: () => string[] = () => [];
  #updates = 0;
  #done = false;

  constructor(subjects: LivenessSubjects) {
    this.#subjects = subjects;
  }

  /** True once a verdict has been given. */
  get done(): boolean {
    return this.#done;
  }

  /** Call with the update's gradients there and its values not yet changed. */
  beforeUpdate(): void {
    if (this.#done) return;
    if (this.#watches === null) {
      this.#movedFrozen = watchFrozen(this.#subjects.frozen);
      this.#watches = this.#subjects.parameters.map((parameter) => {
        const indices = watchedIndices(parameter, this.#subjects.seenRows(parameter));
        const before = sample(parameter, indices);
        return { parameter, indices, before, decay: 1, hadGradient: false, previous: before, movedUnrounded: false };
      });
    }
    for (const watch of this.#watches) {
      watch.hadGradient ||= gradientPieces(watch.parameter.gradient).some(anyNonZero);
      if (watch.parameter.masterDtype === "BF16") watch.previous = sample(watch.parameter, watch.indices);
    }
  }

  /**
   * Call between the update of a piece of a bf16 master and its rounding.
   * @param decay the factor 1 − lr·λ of this update
   */
  beforeRounding(parameter: Parameter, { start, values }: { readonly start: number; readonly values: Float32Array }, decay: number): void {
    if (this.#done) return;
    const watch = this.#watches?.find((candidate) => candidate.parameter === parameter);
    if (watch === undefined || watch.movedUnrounded) return;
    watch.movedUnrounded = watch.indices.some((index, i) => {
      const value = values[index - start];
      return index >= start && value !== undefined && isMoved(value, watch.previous[i] as number, decay);
    });
  }

  /**
   * Call after the update.
   * @param decayOf the factor 1 − lr·λ that the update applied to a tensor
   * @param live whether any group's rate was above zero
   * @param last whether no further update follows
   */
  afterUpdate(decayOf: (parameter: Parameter) => number, live: boolean, last: boolean): LivenessVerdict | null {
    if (this.#done || this.#watches === null) return null;
    for (const watch of this.#watches) watch.decay *= decayOf(watch.parameter);
    if (live) this.#updates++;
    if (this.#updates < UPDATES_NEEDED && !last) return null;
    this.#done = true;
    return this.#judge(this.#watches);
  }

  #judge(watches: readonly Watch[]): LivenessVerdict {
    const problems: Problem[] = [];
    const add = (where: string, message: string): void => void problems.push({ code: "LIVENESS_FAILED", where, message });
    const present = new Set(watches.map((watch) => watch.parameter.name));
    for (const name of this.#subjects.expected) if (!present.has(name)) add(name, "is said to be trainable but is not in the model");
    for (const watch of watches) {
      const { name } = watch.parameter;
      if (this.#subjects.expected.has(name)) {
        const fault = this.#fault(watch);
        if (fault !== null) add(name, `is said to be trainable but ${fault}`);
      } else if (differs(watch, watch.before, watch.decay) || watch.decay !== 1) add(name, "is not said to be trainable but moved");
    }
    for (const name of this.#movedFrozen()) add(name, "is not said to be trainable but moved");
    const excused = new Set(watches.filter((watch) => this.#excused(watch)).map(({ parameter }) => parameter.name));
    return { ok: problems.length === 0, checked: [...this.#subjects.expected].filter((name) => !excused.has(name)), problems };
  }

  /** What is wrong with a tensor that is said to be trainable. */
  #fault(watch: Watch): string | null {
    if (this.#updates === 0) return "no update of the run had a learning rate above 0";
    if (this.#excused(watch)) return null;
    if (!watch.hadGradient) return `had no gradient in ${this.#updates} updates`;
    return moved(watch) ? null : `did not move in ${this.#updates} updates beyond what weight decay explains`;
  }

  /** A starts without a gradient where B is zero; after a single update nothing can be said of it. */
  #excused(watch: Watch): boolean {
    return watch.parameter.role === "lora_A" && this.#updates < UPDATES_NEEDED && !watch.hadGradient;
  }
}

/** The error for a failed verdict: exit 22, every tensor named. */
export function livenessError(verdict: LivenessVerdict): HeirloomError {
  const [first, ...rest] = verdict.problems.map((problem) => ({
    ...problem,
    hint: "give its learning-rate group a rate above 0; if the trainable set was changed after loading, use `heirloom continue`, which keeps it",
  }));
  return first === undefined
    ? new HeirloomError("LIVENESS_FAILED", "the check failed without a finding")
    : HeirloomError.of([first, ...rest]);
}
