// Runs the products of a training step by themselves, each over a weight of its own, through the engine's own runtime.
import { allocateTensor, gemm, graph, input, type Program, type Runtime } from "../../src/compute/index.ts";
import { type StepProduct, stepFlops } from "./step-products.ts";

/** At least so many bytes of weights per shape, in turn: more than a last-level cache holds, since a layer's weights are cold when it is reached. */
const COLD_BYTES = 96 * 2 ** 20;
const BYTES = 4;

interface PreparedProduct {
  readonly product: StepProduct;
  readonly weights: readonly Float32Array[];
  readonly x: Float32Array;
  readonly y: Float32Array;
  readonly forward: Program;
  readonly backward: Program;
}

function filled(length: number): Float32Array {
  const values = new Float32Array(length);
  for (let i = 0; i < length; i++) values[i] = ((i * 37) % 101) / 101 - 0.5;
  return values;
}

async function prepare(runtime: Runtime, product: StepProduct, share: number, threads: number | null): Promise<PreparedProduct> {
  const { m, n, k, weights } = product;
  const options = threads === null ? {} : { threads };
  const w = input("w", [n, k]);
  const size = BYTES * n * k;
  const different = Math.max(1, Math.min(weights, Math.max(Math.ceil(COLD_BYTES / size), Math.floor(share / size))));
  const x = allocateTensor({ shape: [m, k], dtype: "float32" }) as Float32Array;
  x.set(filled(m * k));
  return {
    product,
    weights: Array.from({ length: different }, () => filled(n * k)),
    x,
    y: filled(m * n),
    forward: await runtime.compile(graph({ outputs: { y: gemm(input("x", [m, k]), w, { transB: true }) } }), options),
    backward: await runtime.compile(graph({ outputs: { x: gemm(input("y", [m, n]), w) } }), options),
  };
}

/** The products of one step, ready to be timed. */
export class GemmBound {
  readonly flops: number;
  /** Weights that are in turn, and those that a step has. */
  readonly weights: { readonly held: number; readonly asked: number };
  readonly #prepared: readonly PreparedProduct[];

  private constructor(products: readonly StepProduct[], prepared: readonly PreparedProduct[]) {
    this.flops = stepFlops(products);
    this.#prepared = prepared;
    this.weights = {
      held: prepared.reduce((sum, { weights }) => sum + weights.length, 0),
      asked: products.reduce((sum, { weights }) => sum + weights, 0),
    };
  }

  /**
   * @param limit bytes of weights at most, shared out by size; where a step has more, those that there are take turns
   */
  static async prepare(runtime: Runtime, products: readonly StepProduct[], limit: number, threads: number | null): Promise<GemmBound> {
    const all = products.reduce((sum, { n, k, weights }) => sum + BYTES * n * k * weights, 0);
    const prepared: PreparedProduct[] = [];
    for (const product of products) {
      const { n, k, weights } = product;
      prepared.push(await prepare(runtime, product, limit * ((BYTES * n * k * weights) / all), threads));
    }
    return new GemmBound(products, prepared);
  }

  /** Seconds that all products of a step take, once. */
  async run(): Promise<number> {
    const began = performance.now();
    for (const { product, weights, x, y, forward, backward } of this.#prepared) {
      const weight = (i: number): Float32Array => weights[i % weights.length] as Float32Array;
      for (let i = 0; i < product.forward; i++) await forward.run({ x, w: weight(i) }, { y });
      for (let i = 0; i < product.inputGradient; i++) await backward.run({ y, w: weight(i) }, { x });
    }
    return (performance.now() - began) / 1000;
  }
}
