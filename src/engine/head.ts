import type { Program, TensorData } from "../compute/index.ts";
import { InternalError } from "../core/index.ts";
import type { ModelSpec } from "../model/index.ts";
import type { LoraPlan } from "./block-plan.ts";
import { type DropoutPosition, fillDropoutMask } from "./dropout.ts";
import type { LabelRows } from "./label-rows.ts";
import { ACCUMULATOR_PREFIX, GRADIENT_PREFIX, type HeadPlan, type ProgramCache } from "./programs.ts";
import { SoftmaxRows } from "./softmax-rows.ts";
import type { Weights } from "./weights.ts";
import type { Workspace } from "./workspace.ts";

/** Rows of one head chunk at most. 512 was 5 % faster than 256 in the whole step (SmolLM2-135M's shape, 2 × 512); the logits of a chunk take 4·512·V bytes. */
const CHUNK_ROWS = 512;
/** Most streams that one step of decoding has logits for. */
export const MAX_STREAMS = CHUNK_ROWS;
/** Smallest chunk that is compiled; shorter rests are padded up to a power of two from here. */
const SMALLEST_CHUNK = 32;
/** Logits of one slice of the vocabulary: 8 MiB, so that what is done element by element finds them in the cache. */
const SLICE_LOGITS = 2 ** 21;
/** Weights of one slice that are decoded at a time: 64 MiB of fp32. */
const SLICE_WEIGHTS = 2 ** 24;
/** Slices begin at multiples of this many tokens: quantized blocks and vector registers are not cut. */
const SLICE_STEP = 64;

const NORM = "norm.weight";
const WEIGHT = "lm_head.weight";
/** Trained tensors that the slices of the head may have. */
const SLICE_KEYS = [WEIGHT, "lm_head.lora_A", "lm_head.lora_B"] as const;

/** The parts that the head works with. */
export interface HeadParts {
  readonly spec: ModelSpec;
  readonly programs: ProgramCache;
  readonly weights: Weights;
  readonly workspace: Workspace;
  readonly lora: LoraPlan | null;
  readonly dropout: number;
}

/** Neighbouring tokens of the vocabulary. */
interface Slice {
  readonly start: number;
  readonly tokens: number;
}

/** A chunk of rows on its way through the head. */
interface Chunk {
  /** Rows of the compiled graphs. */
  readonly size: number;
  /** Rows that are there; the others are padding. */
  readonly count: number;
  /** Rows before the norm and behind it, [size, D]. */
  readonly x: Float32Array;
  readonly xn: Float32Array;
  /** [size] */
  readonly targets: Int32Array;
  readonly slices: readonly Slice[];
  readonly dropout: number;
  /** Fed as they are to every slice's graphs: a dropout mask, if there is one. */
  readonly fixed: Readonly<Record<string, TensorData>>;
}

/** A head graph calls the final norm by its name inside the model. */
function weightKey(name: string): string {
  return name === NORM ? "model.norm.weight" : name;
}

function chunkSize(rows: number): number {
  let size = SMALLEST_CHUNK;
  while (size < rows && size < CHUNK_ROWS) size *= 2;
  return size;
}

/**
 * Final norm, head and cross-entropy, on labelled rows only: in chunks of rows, and within a chunk in slices of the
 * vocabulary. The logits of all rows never exist, nor fp32 weights of the whole vocabulary where they are held in 16 bits.
 */
export class Head {
  readonly #parts: HeadParts;

  constructor(parts: HeadParts) {
    this.#parts = parts;
  }

  #plan(rows: number, tokens: number, dropout: number): HeadPlan {
    const { spec, lora } = this.#parts;
    return { rows, head: { inFeatures: spec.hiddenSize, outFeatures: tokens, bias: false, lora }, dropout };
  }

  /** Slices with at most so many tokens; a single one with LoRA, whose B has the vocabulary as its fast axis. */
  #slices(most: number): Slice[] {
    const { vocabSize } = this.#parts.spec;
    const tokens = this.#parts.lora === null ? Math.max(SLICE_STEP, SLICE_STEP * Math.floor(most / SLICE_STEP)) : vocabSize;
    const count = Math.ceil(vocabSize / tokens);
    return Array.from({ length: count }, (_, i) => ({ start: i * tokens, tokens: Math.min(tokens, vocabSize - i * tokens) }));
  }

  /** Tokens whose weights are decoded at a time; all where they are held as fp32. */
  get #decodedTokens(): number {
    const { spec, weights } = this.#parts;
    return weights.isPacked(WEIGHT) ? SLICE_WEIGHTS / spec.hiddenSize : spec.vocabSize;
  }

  /** What a graph of the head is fed with: what is given, a slice's weights, and trained or frozen tensors. */
  #feeds(program: Program, given: Readonly<Record<string, TensorData>>, { start, tokens }: Slice): Record<string, TensorData> {
    const { programs, weights, spec } = this.#parts;
    return programs.trace.span("weights", "weights", {}, () => {
      const feeds: Record<string, TensorData> = {};
      for (const name of Object.keys(program.inputs)) {
        feeds[name] =
          given[name] ??
          (name === WEIGHT
            ? weights.range(WEIGHT, start * spec.hiddenSize, (start + tokens) * spec.hiddenSize, WEIGHT)
            : weights.feed(weightKey(name), name));
      }
      return feeds;
    });
  }

  get #whole(): Slice {
    return { start: 0, tokens: this.#parts.spec.vocabSize };
  }

  /** Copies rows `start…start+count` of the selection out of `hidden` [M, D] into a chunk, the rest of it zero. */
  #gather(hidden: Float32Array, rows: Int32Array, start: number, size: number): Float32Array {
    const width = this.#parts.spec.hiddenSize;
    const chunk = this.#parts.workspace.floats("head/x", size * width);
    const count = Math.min(size, rows.length - start);
    for (let i = 0; i < count; i++) {
      const from = (rows[start + i] as number) * width;
      chunk.set(hidden.subarray(from, from + width), i * width);
    }
    chunk.fill(0, count * width);
    return chunk;
  }

  /** Logits [N, V] of the rows of `hidden` [M, D] named by `rows`. */
  async logits(hidden: Float32Array, rows: Int32Array): Promise<Float32Array> {
    const vocab = this.#parts.spec.vocabSize;
    const all = new Float32Array(rows.length * vocab);
    for (let start = 0; start < rows.length; start += CHUNK_ROWS) {
      const part = rows.subarray(start, start + CHUNK_ROWS);
      all.set(await this.#logitsOf(hidden, part, chunkSize(part.length)), start * vocab);
    }
    return all;
  }

  /**
   * Logits [N, V] of the named rows of `hidden` [M, D] for decoding: at most {@link CHUNK_ROWS}, padded no further than to
   * a power of two (one row of 32 padded ones costs as much as eight by themselves). A view that the next call overwrites.
   */
  async decodingLogits(hidden: Float32Array, rows: Int32Array): Promise<Float32Array> {
    if (rows.length > CHUNK_ROWS) throw new InternalError(`logits of ${rows.length} rows at once`);
    let size = 1;
    while (size < rows.length) size *= 2;
    return this.#logitsOf(hidden, rows, size);
  }

  /** Logits of at most `size` rows, computed as so many; a view that the next call overwrites. */
  async #logitsOf(hidden: Float32Array, rows: Int32Array, size: number): Promise<Float32Array> {
    const { programs, workspace, spec } = this.#parts;
    const x = this.#gather(hidden, rows, 0, size);
    const vocab = spec.vocabSize;
    const all = workspace.floats("head/logits", size * vocab);
    const slices = this.#slices(this.#decodedTokens);
    for (const slice of slices) {
      const program = await programs.headLogits(this.#plan(size, slice.tokens, 0));
      const logits = slices.length === 1 ? all : workspace.floats("head/slice", size * slice.tokens);
      await program.run(this.#feeds(program, { x }, slice), { logits });
      for (let i = 0; slices.length > 1 && i < rows.length; i++)
        all.set(logits.subarray(i * slice.tokens, (i + 1) * slice.tokens), i * vocab + slice.start);
    }
    return all.subarray(0, rows.length * vocab);
  }

  /** The next chunk of a selection, through the norm. */
  async #chunk(hidden: Float32Array, labelled: LabelRows, start: number, position: DropoutPosition | null): Promise<Chunk> {
    const { programs, workspace, spec, lora } = this.#parts;
    const size = chunkSize(labelled.rows.length - start);
    const count = Math.min(size, labelled.rows.length - start);
    const x = this.#gather(hidden, labelled.rows, start, size);
    const xn = workspace.floats("head/xn", x.length);
    const program = await programs.headNorm(size);
    await program.run(this.#feeds(program, { x }, this.#whole), { xn });
    const targets = new Int32Array(size);
    targets.set(labelled.targets.subarray(start, start + count));
    const dropout = position === null || lora === null ? 0 : this.#parts.dropout;
    const slices = this.#slices(Math.min(SLICE_LOGITS / size, this.#decodedTokens));
    return { size, count, x, xn, targets, slices, dropout, fixed: dropout > 0 ? this.#mask(size * spec.hiddenSize, position) : {} };
  }

  #mask(length: number, position: DropoutPosition | null): Record<string, TensorData> {
    if (position === null) throw new InternalError("a head with dropout was run without a position in the run");
    const mask = this.#parts.workspace.bytes("mask/lm_head", length);
    fillDropoutMask(mask, this.#parts.dropout, position, "lm_head");
    return { "lm_head.dropout": mask };
  }

  /** Runs the slices of a chunk forward; the logits of each stay where `place` puts them. */
  async #forward(chunk: Chunk, place: (slice: Slice) => Float32Array): Promise<SoftmaxRows> {
    const { programs, workspace } = this.#parts;
    const { size, xn, fixed } = chunk;
    const softmax = new SoftmaxRows(chunk.targets, chunk.count);
    const [max, sum] = [workspace.floats("head/max", size), workspace.floats("head/sum", size)];
    for (const slice of chunk.slices) {
      const program = await programs.headSlice(this.#plan(size, slice.tokens, chunk.dropout));
      const logits = place(slice);
      await program.run(this.#feeds(program, { xn, ...fixed }, slice), { logits, max, sum });
      softmax.take(slice, { logits, max, sum });
    }
    return softmax;
  }

  /** Cross-entropy of each labelled row [N], in nats. */
  async losses(hidden: Float32Array, labelled: LabelRows): Promise<Float32Array> {
    const all = new Float32Array(labelled.rows.length);
    for (let start = 0; start < all.length; ) {
      const chunk = await this.#chunk(hidden, labelled, start, null);
      const softmax = await this.#forward(chunk, ({ tokens }) => this.#parts.workspace.floats("head/logits", chunk.size * tokens));
      for (let i = 0; i < chunk.count; i++) all[start + i] = softmax.loss(i);
      start += chunk.count;
    }
    return all;
  }

  /** Names (inside the head's graphs) of the parameters that they compute gradients of. */
  get trainedKeys(): string[] {
    return [NORM, ...SLICE_KEYS].filter((name) => this.#parts.weights.trainable(weightKey(name)) !== undefined);
  }

  /**
   * Losses of the labelled rows and the gradient of their weighted sum: parameter
   * gradients are added up in the weights' buffers, the gradient of `hidden` goes
   * into `dHidden` [M, D] (zero for rows without a label).
   *
   * @param weight what each row's loss counts, 1 / number of label tokens of the update.
   * @returns the weighted sum of the losses.
   */
  async lossAndGradients(
    hidden: Float32Array,
    labelled: LabelRows,
    weight: number,
    dHidden: Float32Array,
    position: DropoutPosition,
  ): Promise<number> {
    dHidden.fill(0);
    let total = 0;
    for (let start = 0, index = 0; start < labelled.rows.length; index++) {
      const at = { ...position, microStep: position.microStep * 65536 + index };
      const chunk = await this.#chunk(hidden, labelled, start, at);
      const logits = this.#parts.workspace.floats("head/logits", chunk.size * this.#parts.spec.vocabSize);
      const place = (slice: Slice): Float32Array => logits.subarray(chunk.size * slice.start, chunk.size * (slice.start + slice.tokens));
      const softmax = await this.#forward(chunk, place);
      const dxn = await this.#backward(chunk, softmax, weight, place);
      this.#scatter(await this.#normBackward(chunk, dxn), labelled.rows, start, chunk.count, dHidden);
      for (let i = 0; i < chunk.count; i++) total += softmax.loss(i) * weight;
      start += chunk.count;
    }
    return total;
  }

  /** Gradients of a chunk's slices; returns that of the normed rows [size, D]. */
  async #backward(chunk: Chunk, softmax: SoftmaxRows, weight: number, place: (slice: Slice) => Float32Array): Promise<Float32Array> {
    const { programs, workspace } = this.#parts;
    const { size, xn, fixed } = chunk;
    const dxn = workspace.floats("head/dxn", xn.length).fill(0);
    const rows = softmax.gradientInputs(size, weight);
    const parameters = this.trainedKeys.filter((name) => name !== NORM);
    for (const slice of chunk.slices) {
      const program = await programs.headSliceGradients(this.#plan(size, slice.tokens, chunk.dropout), { parameters, input: true });
      const given = { xn, ...fixed, ...rows, logits: place(slice), labels: softmax.labelsIn(slice, size) };
      const sums = { xn: dxn, ...this.#accumulators(program, parameters, slice) };
      await this.#accumulate(program, given, sums, slice);
    }
    return dxn;
  }

  /** Where the gradients of parameters are added up that a graph computes; of the head's weight only a slice. */
  #accumulators(program: Program, names: readonly string[], { start, tokens }: Slice): Record<string, Float32Array> {
    const { weights, spec } = this.#parts;
    const sums: Record<string, Float32Array> = {};
    for (const name of names) {
      if (program.outputs[GRADIENT_PREFIX + name] === undefined) continue;
      const sum = weights.accumulator(weightKey(name));
      sums[name] = name === WEIGHT ? sum.subarray(start * spec.hiddenSize, (start + tokens) * spec.hiddenSize) : sum;
    }
    return sums;
  }

  /** Runs a graph whose outputs are added to sums, in place. */
  async #accumulate(
    program: Program,
    given: Readonly<Record<string, TensorData>>,
    sums: Readonly<Record<string, Float32Array>>,
    slice: Slice,
    outputs: Record<string, TensorData> = {},
  ): Promise<void> {
    const inputs: Record<string, TensorData> = { ...given };
    for (const [name, sum] of Object.entries(sums)) {
      inputs[ACCUMULATOR_PREFIX + name] = sum;
      outputs[GRADIENT_PREFIX + name] = sum;
    }
    await program.run(this.#feeds(program, inputs, slice), outputs);
  }

  /** The gradient of a chunk's rows [size, D] from that of the normed ones. */
  async #normBackward({ size, x }: Chunk, dxn: Float32Array): Promise<Float32Array> {
    const { programs, workspace } = this.#parts;
    const parameters = this.trainedKeys.filter((name) => name === NORM);
    const program = await programs.headNormGradients(size, { parameters, input: true });
    const dx = workspace.floats("head/dx", x.length);
    const sums = this.#accumulators(program, parameters, this.#whole);
    await this.#accumulate(program, { x, dxn }, sums, this.#whole, { [`${GRADIENT_PREFIX}x`]: dx });
    return dx;
  }

  #scatter(dx: Float32Array, rows: Int32Array, start: number, count: number, dHidden: Float32Array): void {
    const width = this.#parts.spec.hiddenSize;
    for (let i = 0; i < count; i++) dHidden.set(dx.subarray(i * width, (i + 1) * width), (rows[start + i] as number) * width);
  }

  /** Compiles the training graphs for `size` rows; names the parameters that they have gradients of, and whether the blocks below get one. */
  async gradientKeys(size = CHUNK_ROWS): Promise<{ readonly keys: readonly string[]; readonly input: boolean }> {
    const { programs, lora, dropout } = this.#parts;
    const [slice] = this.#slices(Math.min(SLICE_LOGITS / size, this.#decodedTokens));
    const keys = this.trainedKeys;
    const plan = this.#plan(size, slice?.tokens ?? 0, lora === null ? 0 : dropout);
    const inSlice = await programs.headSliceGradients(plan, { parameters: keys.filter((name) => name !== NORM), input: true });
    const ofNorm = await programs.headNormGradients(size, { parameters: keys.filter((name) => name === NORM), input: true });
    const has = (program: Program, name: string): boolean => program.outputs[GRADIENT_PREFIX + name] !== undefined;
    return {
      keys: keys.filter((name) => has(name === NORM ? ofNorm : inSlice, name)).map(weightKey),
      input: has(inSlice, "xn") && has(ofNorm, "x"),
    };
  }
}
