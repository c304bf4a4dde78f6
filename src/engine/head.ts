import type { TensorData } from "../compute/index.ts";
import { InternalError } from "../core/index.ts";
import type { ModelSpec } from "../model/index.ts";
import type { LoraPlan } from "./block-plan.ts";
import { type DropoutPosition, fillDropoutMask } from "./dropout.ts";
import type { LabelRows } from "./label-rows.ts";
import { ACCUMULATOR_PREFIX, GRADIENT_PREFIX, type HeadPlan, type ProgramCache } from "./programs.ts";
import type { Weights } from "./weights.ts";
import type { Workspace } from "./workspace.ts";

/** Rows of one head chunk at most. 512 was 5 % faster than 256 in the whole step (SmolLM2-135M's shape, 2 × 512); the logits of a chunk take 4·512·V bytes. */
const CHUNK_ROWS = 512;
/** Most streams that one step of decoding has logits for. */
export const MAX_STREAMS = CHUNK_ROWS;
/** Smallest chunk that is compiled; shorter rests are padded up to a power of two from here. */
const SMALLEST_CHUNK = 32;

const HEAD_KEYS = ["norm.weight", "lm_head.weight", "lm_head.lora_A", "lm_head.lora_B"] as const;

/** The parts that the head works with. */
export interface HeadParts {
  readonly spec: ModelSpec;
  readonly programs: ProgramCache;
  readonly weights: Weights;
  readonly workspace: Workspace;
  readonly lora: LoraPlan | null;
  readonly dropout: number;
}

/** A head graph calls the final norm by its name inside the model. */
function weightKey(name: string): string {
  return name === "norm.weight" ? "model.norm.weight" : name;
}

function chunkSize(rows: number): number {
  let size = SMALLEST_CHUNK;
  while (size < rows && size < CHUNK_ROWS) size *= 2;
  return size;
}

/** Final norm, head and cross-entropy, on labelled rows only and in chunks: the whole logits never exist. */
export class Head {
  readonly #parts: HeadParts;

  constructor(parts: HeadParts) {
    this.#parts = parts;
  }

  #plan(rows: number, dropout: number): HeadPlan {
    const { spec, lora } = this.#parts;
    return {
      rows,
      head: { inFeatures: spec.hiddenSize, outFeatures: spec.vocabSize, bias: false, lora },
      dropout: lora === null ? 0 : dropout,
    };
  }

  #weightFeeds(names: Iterable<string>, given: Record<string, TensorData>): Record<string, TensorData> {
    return this.#parts.programs.trace.span("weights", "weights", {}, () => {
      const feeds: Record<string, TensorData> = {};
      for (const name of names) feeds[name] = given[name] ?? this.#parts.weights.feed(weightKey(name), name);
      return feeds;
    });
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

  #labels(targets: Int32Array, start: number, size: number): Int32Array {
    const labels = new Int32Array(size);
    labels.set(targets.subarray(start, Math.min(start + size, targets.length)));
    return labels;
  }

  /** Logits [N, V] of the rows of `hidden` [M, D] named by `rows`. */
  async logits(hidden: Float32Array, rows: Int32Array): Promise<Float32Array> {
    const vocab = this.#parts.spec.vocabSize;
    const all = new Float32Array(rows.length * vocab);
    for (let start = 0; start < rows.length; ) {
      const size = chunkSize(rows.length - start);
      const program = await this.#parts.programs.headLogits(this.#plan(size, 0));
      const logits = this.#parts.workspace.floats("head/logits", size * vocab);
      await program.run(this.#weightFeeds(Object.keys(program.inputs), { x: this.#gather(hidden, rows, start, size) }), { logits });
      const count = Math.min(size, rows.length - start);
      all.set(logits.subarray(0, count * vocab), start * vocab);
      start += count;
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
    const vocab = this.#parts.spec.vocabSize;
    const program = await this.#parts.programs.headLogits(this.#plan(size, 0));
    const logits = this.#parts.workspace.floats("head/logits", size * vocab);
    await program.run(this.#weightFeeds(Object.keys(program.inputs), { x: this.#gather(hidden, rows, 0, size) }), { logits });
    return logits.subarray(0, rows.length * vocab);
  }

  /** Cross-entropy of each labelled row [N], in nats. */
  async losses(hidden: Float32Array, { rows, targets }: LabelRows): Promise<Float32Array> {
    const all = new Float32Array(rows.length);
    for (let start = 0; start < rows.length; ) {
      const size = chunkSize(rows.length - start);
      const program = await this.#parts.programs.headLoss(this.#plan(size, 0));
      const given = { x: this.#gather(hidden, rows, start, size), labels: this.#labels(targets, start, size) };
      const loss = this.#parts.workspace.floats("head/loss", size);
      await program.run(this.#weightFeeds(Object.keys(program.inputs), given), { loss });
      const count = Math.min(size, rows.length - start);
      all.set(loss.subarray(0, count), start);
      start += count;
    }
    return all;
  }

  /** Names (inside the head's graph) of the parameters that it computes gradients of. */
  get trainedKeys(): string[] {
    return HEAD_KEYS.filter((name) => this.#parts.weights.trainable(weightKey(name)) !== undefined);
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
    const { rows, targets } = labelled;
    dHidden.fill(0);
    let total = 0;
    for (let start = 0, chunk = 0; start < rows.length; chunk++) {
      const size = chunkSize(rows.length - start);
      const count = Math.min(size, rows.length - start);
      const weights = new Float32Array(size).fill(weight, 0, count);
      const given = { x: this.#gather(hidden, rows, start, size), labels: this.#labels(targets, start, size), weights };
      const { loss, dx } = await this.#trainChunk(size, given, { ...position, microStep: position.microStep * 65536 + chunk });
      this.#scatter(dx, rows, start, count, dHidden);
      for (let i = 0; i < count; i++) total += (loss[i] as number) * weight;
      start += count;
    }
    return total;
  }

  async #trainChunk(
    size: number,
    given: Record<string, TensorData>,
    position: DropoutPosition,
  ): Promise<{ loss: Float32Array; dx: Float32Array }> {
    const { programs, weights, workspace, spec, dropout } = this.#parts;
    const parameters = this.trainedKeys;
    const program = await programs.headTraining(this.#plan(size, dropout), { parameters, input: true });
    const outputs: Record<string, TensorData> = {
      loss: workspace.floats("head/loss", size),
      [`${GRADIENT_PREFIX}x`]: workspace.floats("head/dx", size * spec.hiddenSize),
    };
    const all: Record<string, TensorData> = { ...given };
    for (const name of parameters) {
      if (program.outputs[GRADIENT_PREFIX + name] === undefined) continue;
      const sum = weights.accumulator(weightKey(name));
      all[ACCUMULATOR_PREFIX + name] = sum;
      outputs[GRADIENT_PREFIX + name] = sum;
    }
    if (program.inputs["lm_head.dropout"] !== undefined) {
      const mask = workspace.bytes("mask/lm_head", size * spec.hiddenSize);
      fillDropoutMask(mask, dropout, position, "lm_head");
      all["lm_head.dropout"] = mask;
    }
    await program.run(this.#weightFeeds(Object.keys(program.inputs), all), outputs);
    return { loss: outputs["loss"] as Float32Array, dx: outputs[`${GRADIENT_PREFIX}x`] as Float32Array };
  }

  #scatter(dx: Float32Array, rows: Int32Array, start: number, count: number, dHidden: Float32Array): void {
    const width = this.#parts.spec.hiddenSize;
    for (let i = 0; i < count; i++) dHidden.set(dx.subarray(i * width, (i + 1) * width), (rows[start + i] as number) * width);
  }

  /** Compiles the training graph for `size` rows; names the parameters that it has gradients of, and whether the blocks below get one. */
  async gradientKeys(size = CHUNK_ROWS): Promise<{ readonly keys: readonly string[]; readonly input: boolean }> {
    const program = await this.#parts.programs.headTraining(this.#plan(size, this.#parts.dropout), {
      parameters: this.trainedKeys,
      input: true,
    });
    const keys = this.trainedKeys.filter((name) => program.outputs[GRADIENT_PREFIX + name] !== undefined).map(weightKey);
    return { keys, input: program.outputs[`${GRADIENT_PREFIX}x`] !== undefined };
  }
}
