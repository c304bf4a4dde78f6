// The products over frozen weights of a training step, by shape and number: what no step can be faster than.
import { type ModelSpec, modelModules, OUTPUT_EMBEDDING } from "../../src/model/index.ts";

/** y [m,n] = x [m,k] · Wᵀ and dx [m,k] = dy [m,n] · W with a weight W [n,k], so many times in a step. */
export interface StepProduct {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly forward: number;
  readonly inputGradient: number;
  /** Different weights of this shape. */
  readonly weights: number;
}

/** What decides which products a step has. */
export interface StepShape {
  /** Tokens of the step, padding left out. */
  readonly tokens: number;
  /** Of them, those with a label. */
  readonly labelled: number;
  /** Whether something below the blocks is trained, so that the first one's input has a gradient. */
  readonly trainsBelow: boolean;
  /** Whether blocks are computed again in the backward pass. */
  readonly recomputes: boolean;
}

/** Most rows of a product with the head: its logits are a matrix of rows × vocabulary. */
const HEAD_ROWS = 512;
/** What reads the block's normed input: in the first block their input gradients lead nowhere if nothing below is trained. */
const FIRST_LINEARS = /^model\.layers\.0\.self_attn\.[qkv]_proj$/;

/** The products of one step. Those of the adapter, of attention and of weights' own gradients are not among them. */
export function stepProducts(spec: ModelSpec, shape: StepShape): StepProduct[] {
  const products = new Map<string, { -readonly [K in keyof StepProduct]: StepProduct[K] }>();
  for (const { kind, path, shape: weight } of modelModules(spec)) {
    if (kind !== "Linear") continue;
    const [n, k] = weight as readonly [number, number];
    const isHead = path === OUTPUT_EMBEDDING;
    const times = isHead ? Math.ceil(shape.labelled / HEAD_ROWS) : 1;
    const m = isHead ? Math.ceil(shape.labelled / times) : shape.tokens;
    const key = `${m}x${n}x${k}`;
    const product = products.get(key) ?? { m, n, k, forward: 0, inputGradient: 0, weights: 0 };
    products.set(key, product);
    product.weights++;
    product.forward += isHead ? times : shape.recomputes ? 2 : 1;
    product.inputGradient += FIRST_LINEARS.test(path) && !shape.trainsBelow ? 0 : times;
  }
  return [...products.values()];
}

/** 2mnk of every product of a step. */
export function stepFlops(products: readonly StepProduct[]): number {
  return products.reduce((sum, { m, n, k, forward, inputGradient }) => sum + 2 * m * n * k * (forward + inputGradient), 0);
}
