import { add, div, type Graph, graph, input, mul, type Program, sqrt, sub } from "../../compute/index.ts";
import { type Parameter, readGradient, readValues } from "../../engine/index.ts";
import type { Compile, Optimizer, OptimizerSettings, OptimizerSlot, StorePiece } from "./types.ts";

interface AdamSlot extends OptimizerSlot {
  readonly state: { readonly exp_avg: Float32Array; readonly exp_avg_sq: Float32Array };
}

/**
 * Elements of one run: four arrays of 1 MiB, which stay in the cache between the graph's operations (460 M parameters/s; with
 * 2^16 191, with 2^24 69 were measured). After each run the event loop has a turn.
 */
const PIECE = 2 ** 18;

/** The numbers that an update is made with, each an input [1] of the graph. */
const SCALARS = ["gradientScale", "beta1", "rest1", "beta2", "rest2", "rootScale", "epsilon", "decay", "size"] as const;

type Scalars = Readonly<Record<(typeof SCALARS)[number], number>>;

/** The update of `length` neighbouring elements; its outputs may lie in the memory of `w`, `m` and `v`. */
function updateGraph(length: number): Graph {
  const elements = (name: string) => input(name, [length]);
  const scalars = Object.fromEntries(SCALARS.map((name) => [name, input(name, [1])])) as Record<keyof Scalars, ReturnType<typeof input>>;
  const g = mul(elements("g"), scalars.gradientScale);
  const m = add(mul(elements("m"), scalars.beta1), mul(g, scalars.rest1));
  const v = add(mul(elements("v"), scalars.beta2), mul(mul(g, g), scalars.rest2));
  const step = div(mul(m, scalars.size), add(mul(sqrt(v), scalars.rootScale), scalars.epsilon));
  return graph({ outputs: { "m'": m, "v'": v, "w'": sub(mul(elements("w"), scalars.decay), step) } });
}

/**
 * AdamW with decoupled weight decay (Loshchilov & Hutter 2019), the arithmetic
 * of torch.optim.AdamW:
 *
 *     w ← w·(1 − lr·λ);  m ← β₁m + (1−β₁)g;  v ← β₂v + (1−β₂)g²
 *     w ← w − lr/(1−β₁ᵗ) · m / (√v/√(1−β₂ᵗ) + ε)
 *
 * Moments are fp32, named as torch names them; every operation is rounded to fp32, as torch's are. Runs in place, as
 * graphs over pieces of a tensor.
 */
export class AdamW implements Optimizer {
  readonly name = "adamw";
  readonly slots: readonly AdamSlot[];
  readonly #settings: OptimizerSettings;
  readonly #compile: Compile;
  /** A piece of a tensor whose values, or whose gradient, are not held as fp32 arrays. */
  readonly #values = new Float32Array(PIECE);
  readonly #gradient = new Float32Array(PIECE);
  step = 0;

  constructor(
    parameters: readonly { readonly parameter: Parameter; readonly group: string; readonly weightDecay: number }[],
    settings: OptimizerSettings,
    compile: Compile,
  ) {
    this.#settings = settings;
    this.#compile = compile;
    this.slots = parameters.map((entry) => ({
      ...entry,
      state: { exp_avg: new Float32Array(entry.parameter.values.length), exp_avg_sq: new Float32Array(entry.parameter.values.length) },
    }));
  }

  async update(rates: ReadonlyMap<string, number>, gradientScale: number, store: StorePiece): Promise<void> {
    this.step++;
    const [beta1, beta2] = this.#settings.betas;
    for (const slot of this.slots) {
      const rate = rates.get(slot.group) ?? 0;
      const scalars = {
        gradientScale,
        beta1,
        rest1: 1 - beta1,
        beta2,
        rest2: 1 - beta2,
        rootScale: 1 / Math.sqrt(1 - beta2 ** this.step),
        epsilon: this.#settings.epsilon,
        decay: 1 - rate * slot.weightDecay,
        size: rate / (1 - beta1 ** this.step),
      };
      await this.#updateTensor(slot, scalars, store);
    }
  }

  async #updateTensor({ parameter, state }: AdamSlot, scalars: Scalars, store: StorePiece): Promise<void> {
    const fixed = Object.fromEntries(Object.entries(scalars).map(([name, value]) => [name, Float32Array.of(value)]));
    const { length } = parameter.values;
    for (let start = 0; start < length; start += PIECE) {
      const end = Math.min(start + PIECE, length);
      const w = readValues(parameter, start, end, (count) => this.#values.subarray(0, count));
      const g = readGradient(parameter.gradient, start, end, this.#gradient);
      const m = state.exp_avg.subarray(start, end);
      const v = state.exp_avg_sq.subarray(start, end);
      const program = await this.#program(end - start);
      await program.run({ ...fixed, w, m, v, g }, { "w'": w, "m'": m, "v'": v });
      if (parameter.masterDtype !== "F32") store(parameter, start, w);
    }
  }

  #program(length: number): Promise<Program> {
    return this.#compile(`adamw ${length}`, () => updateGraph(length));
  }
}
