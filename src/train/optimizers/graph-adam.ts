import { add, div, type Graph, graph, input, mul, type Program, sqrt, sub } from "../../compute/index.ts";
import { type Parameter, readGradient, readValues } from "../../engine/index.ts";
import { type AdamScalars, SCALARS } from "./adam-step.ts";
import type { Compile, StorePiece } from "./types.ts";

/**
 * Elements of one run: four arrays of 1 MiB, which stay in the cache between the graph's operations (460 M parameters/s; with
 * 2^16 191, with 2^24 69 were measured). After each run the event loop has a turn.
 */
const PIECE = 2 ** 18;

/** The update of `length` neighbouring elements; its outputs may lie in the memory of `w`, `m` and `v`. */
function updateGraph(length: number): Graph {
  const elements = (name: string) => input(name, [length]);
  const scalars = Object.fromEntries(SCALARS.map((name) => [name, input(name, [1])])) as Record<
    keyof AdamScalars,
    ReturnType<typeof input>
  >;
  const g = mul(elements("g"), scalars.gradientScale);
  const m = add(mul(elements("m"), scalars.beta1), mul(g, scalars.rest1));
  const v = add(mul(elements("v"), scalars.beta2), mul(mul(g, g), scalars.rest2));
  const step = div(mul(m, scalars.size), add(mul(sqrt(v), scalars.rootScale), scalars.epsilon));
  return graph({ outputs: { "m'": m, "v'": v, "w'": sub(mul(elements("w"), scalars.decay), step) } });
}

/** AdamW with fp32 moments, in place, as graphs over pieces of a tensor. Every operation is rounded to fp32. */
export class GraphAdam {
  readonly #compile: Compile;
  /** A piece of a tensor whose values, or whose gradient, are not held as fp32 arrays. */
  readonly #values = new Float32Array(PIECE);
  readonly #gradient = new Float32Array(PIECE);

  constructor(compile: Compile) {
    this.#compile = compile;
  }

  /** Updates a tensor and its moments `mean` and `square`, which lie as its values do. */
  async update(
    parameter: Parameter,
    moments: { readonly mean: Float32Array; readonly square: Float32Array },
    scalars: AdamScalars,
    store: StorePiece,
  ): Promise<void> {
    const fixed = Object.fromEntries(Object.entries(scalars).map(([name, value]) => [name, Float32Array.of(value)]));
    const { length } = parameter.values;
    for (let start = 0; start < length; start += PIECE) {
      const end = Math.min(start + PIECE, length);
      const w = readValues(parameter, start, end, (count) => this.#values.subarray(0, count));
      const g = readGradient(parameter.gradient, start, end, this.#gradient);
      const m = moments.mean.subarray(start, end);
      const v = moments.square.subarray(start, end);
      const program = await this.#program(end - start);
      await program.run({ ...fixed, w, m, v, g }, { "w'": w, "m'": m, "v'": v });
      if (parameter.masterDtype !== "F32") store(parameter, start, w);
    }
  }

  #program(length: number): Promise<Program> {
    return this.#compile(`adamw ${length}`, () => updateGraph(length));
  }
}
