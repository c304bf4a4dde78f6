import type { Program, TensorData } from "../compute/index.ts";
import { InternalError } from "../core/index.ts";
import type { ModelSpec } from "../model/index.ts";
import { blockPlan, type LoraPlan, layerPrefix } from "./block-plan.ts";
import { PREFILL_ROWS, prefillRows, SMALLEST_PREFILL } from "./decoding-memory.ts";
import type { Head } from "./head.ts";
import { cacheLength, cacheSlots, KvCache } from "./kv-cache.ts";
import type { ProgramCache } from "./programs.ts";
import type { RotaryTable } from "./rotary-table.ts";
import type { Weights } from "./weights.ts";

/** The parts that a decoder works with. */
export interface DecoderParts {
  readonly spec: ModelSpec;
  readonly programs: ProgramCache;
  readonly weights: Weights;
  readonly head: Head;
  readonly rotary: RotaryTable;
  readonly lora: ReadonlyMap<string, LoraPlan>;
  /** Copies the embedding rows of ids, one after the other, into `rows`. */
  embed(ids: ArrayLike<number>, rows: Float32Array): void;
}

/** A sequence that is being continued. */
export interface DecodingStream {
  /** Tokens that it holds. */
  readonly length: number;
}

class Stream implements DecodingStream {
  slot: number;
  readonly #cache: KvCache;

  constructor(cache: KvCache) {
    this.#cache = cache;
    this.slot = cache.add();
  }

  get length(): number {
    return this.slot < 0 ? 0 : this.#cache.lengthOf(this.slot);
  }
}

/** The graphs of one shape with what they are fed: made once, so that a token allocates next to nothing. */
interface ShapeRunner {
  readonly layers: readonly LayerRunner[];
  readonly batch: number;
  readonly sequence: number;
  readonly positions: Int32Array;
  readonly cos: Float32Array;
  readonly sin: Float32Array;
  readonly k: Float32Array;
  readonly v: Float32Array;
  /** Hidden rows before the first layer; layers then read and write the two in turn. */
  readonly hidden: readonly [Float32Array, Float32Array];
}

interface LayerRunner {
  readonly program: Program;
  readonly feeds: Record<string, TensorData>;
  readonly outputs: Record<string, TensorData>;
  /** Names of feeds that must be dequantized before each run. */
  readonly packed: readonly string[];
}

/** Rows that a run computes for one stream. */
interface StreamRows {
  readonly stream: Stream;
  readonly ids: ArrayLike<number>;
}

/**
 * Continues several sequences with one model, token by token: keys and values of what was read are kept. Streams may have
 * different lengths, come and go. Weights are read in place at every run, so that a model may be trained in between.
 */
export class Decoder {
  readonly #parts: DecoderParts;
  readonly #maxLength: number;
  readonly #cache: KvCache;
  readonly #streams: Stream[] = [];
  readonly #runners = new Map<string, ShapeRunner>();

  /** @param maxLength most tokens of a stream; the model's own positions at most */
  constructor(parts: DecoderParts, maxLength: number) {
    this.#parts = parts;
    this.#maxLength = Math.min(maxLength, parts.spec.maxPositions);
    this.#cache = new KvCache(parts.spec, this.#maxLength);
  }

  /** Most tokens that a stream may have. */
  get maxLength(): number {
    return this.#maxLength;
  }

  /** Bytes that keys and values take now. */
  get cacheBytes(): number {
    return this.#cache.bytes;
  }

  /** Whether {@link open} needs more memory than is held. */
  get isFull(): boolean {
    return this.#cache.isFull;
  }

  /** Gives back the memory of sequences that have ended; not while a run is under way. */
  trim(): void {
    if (this.#cache.trim()) this.#runners.clear();
  }

  /** Begins an empty sequence. */
  open(): DecodingStream {
    const stream = new Stream(this.#cache);
    this.#streams.push(stream);
    return stream;
  }

  /** Ends a sequence; its memory serves the next one. */
  close(stream: DecodingStream): void {
    const closed = this.#own(stream);
    const last = this.#streams.pop() as Stream;
    this.#cache.remove(closed.slot);
    if (last !== closed) {
      last.slot = closed.slot;
      this.#streams[last.slot] = last;
    }
    closed.slot = -1;
    if (this.#streams.length === 0) this.#runners.clear();
  }

  /** Takes a sequence back to its first `length` tokens. */
  truncate(stream: DecodingStream, length: number): void {
    const own = this.#own(stream);
    if (length < 0 || length > own.length) throw new InternalError(`a stream of ${own.length} tokens cannot be cut to ${length}`);
    this.#cache.truncate(own.slot, length);
  }

  /** How many tokens of a prompt {@link extend} should be given next: fewer the longer the sequences are. */
  prefillRows(stream: DecodingStream): number {
    const capacity = cacheLength(this.#own(stream).length + PREFILL_ROWS, this.#maxLength);
    return prefillRows(this.#parts.spec, Math.max(capacity, this.#cache.length));
  }

  /**
   * Reads the next tokens of a prompt, at most {@link PREFILL_ROWS}.
   *
   * @returns logits of the last one [1, V], of all [ids, V], or nothing; a view that the next run overwrites
   */
  async extend(stream: DecodingStream, ids: ArrayLike<number>, logits: "none" | "last" | "all" = "last"): Promise<Float32Array | null> {
    if (ids.length < 1 || ids.length > PREFILL_ROWS) throw new InternalError(`expected 1 to ${PREFILL_ROWS} tokens, found ${ids.length}`);
    const own = this.#own(stream);
    let sequence = SMALLEST_PREFILL;
    while (sequence < ids.length) sequence *= 2;
    const hidden = await this.#run(own.slot, 1, sequence, [{ stream: own, ids }]);
    if (logits === "none") return null;
    const rows = logits === "last" ? [ids.length - 1] : Array.from(ids, (_, i) => i);
    return this.#parts.head.decodingLogits(hidden, Int32Array.from(rows));
  }

  /**
   * Reads one token of each of several streams.
   *
   * @returns logits [streams, V] in the order given; a view that the next run overwrites
   */
  async step(tokens: readonly { readonly stream: DecodingStream; readonly id: number }[]): Promise<Float32Array> {
    const rows = tokens.map(({ stream, id }) => ({ stream: this.#own(stream), ids: [id] }));
    if (rows.length === 0) throw new InternalError("a step of no streams");
    const first = rows.reduce((least, { stream }) => Math.min(least, stream.slot), Number.POSITIVE_INFINITY);
    const last = rows.reduce((most, { stream }) => Math.max(most, stream.slot), 0);
    const batch = cacheSlots(last - first + 1);
    // A batch is a view of neighbouring slots; it begins earlier where it would reach beyond the last.
    const start = Math.min(first, cacheSlots(this.#streams.length) - batch);
    const hidden = await this.#run(start, batch, 1, rows);
    return this.#parts.head.decodingLogits(
      hidden,
      Int32Array.from(rows, ({ stream }) => stream.slot - start),
    );
  }

  #own(stream: DecodingStream): Stream {
    if (stream instanceof Stream && this.#streams[stream.slot] === stream) return stream;
    throw new InternalError("a stream that is closed, or another decoder's");
  }

  /** Runs all blocks for `sequence` rows of each of `batch` slots from `start` on, and keeps the new keys and values. */
  async #run(start: number, batch: number, sequence: number, rows: readonly StreamRows[]): Promise<Float32Array> {
    for (const { stream, ids } of rows) {
      if (this.#cache.reserve(stream.slot, stream.length + ids.length)) this.#runners.clear();
    }
    const runner = await this.#runner(batch, sequence);
    this.#fillInputs(runner, start, rows);
    const cachePositions = this.#cache.positions(start, batch);
    for (const [layer, { program, feeds, outputs, packed }] of runner.layers.entries()) {
      const held = this.#cache.view(layer, start, batch);
      feeds["k_cache"] = held.k;
      feeds["v_cache"] = held.v;
      feeds["cache_positions"] = cachePositions;
      for (const name of packed) feeds[name] = this.#parts.weights.feed(layerPrefix(layer) + name, name);
      await program.run(feeds, outputs);
      for (const { stream, ids } of rows)
        this.#cache.append(layer, runner.k, runner.v, { slot: stream.slot, row: stream.slot - start, sequence, count: ids.length });
    }
    for (const { stream, ids } of rows) this.#cache.commit(stream.slot, ids.length);
    return runner.hidden[runner.layers.length % 2] as Float32Array;
  }

  /** Positions, rotations and embeddings of the new rows; padding is at position −1 with the values of token 0. */
  #fillInputs({ positions, cos, sin, sequence, hidden: [rows] }: ShapeRunner, start: number, given: readonly StreamRows[]): void {
    const width = this.#parts.spec.hiddenSize;
    const angles = new Int32Array(positions.length);
    positions.fill(-1);
    rows.fill(0);
    for (const { stream, ids } of given) {
      const first = (stream.slot - start) * sequence;
      for (let i = 0; i < ids.length; i++) positions[first + i] = angles[first + i] = stream.length + i;
      this.#parts.embed(ids, rows.subarray(first * width, (first + ids.length) * width));
    }
    this.#parts.rotary.fill(angles, { cos, sin });
  }

  async #runner(batch: number, sequence: number): Promise<ShapeRunner> {
    const key = `${batch} ${sequence}`;
    const known = this.#runners.get(key);
    if (known !== undefined) return known;
    const { spec } = this.#parts;
    const rows = batch * sequence;
    const newRows = rows * spec.kvHeadCount * spec.headDim;
    const runner = {
      batch,
      sequence,
      positions: new Int32Array(rows),
      cos: new Float32Array((rows * spec.headDim) / 2),
      sin: new Float32Array((rows * spec.headDim) / 2),
      k: new Float32Array(newRows),
      v: new Float32Array(newRows),
      hidden: [new Float32Array(rows * spec.hiddenSize), new Float32Array(rows * spec.hiddenSize)] as const,
    };
    const layers: LayerRunner[] = [];
    for (let layer = 0; layer < spec.layerCount; layer++) layers.push(await this.#layerRunner(layer, runner));
    const made = { ...runner, layers };
    this.#runners.set(key, made);
    return made;
  }

  async #layerRunner(layer: number, shape: Omit<ShapeRunner, "layers">): Promise<LayerRunner> {
    const { spec, lora, programs, weights } = this.#parts;
    const { batch, sequence, positions, cos, sin, k, v, hidden } = shape;
    const program = await programs.blockCached(blockPlan(spec, lora, layer, { batch, sequence, dropout: 0, cache: this.#cache.length }));
    const [x, y] = layer % 2 === 0 ? hidden : [hidden[1], hidden[0]];
    const feeds: Record<string, TensorData> = { x, positions, cos, sin };
    const packed: string[] = [];
    for (const name of Object.keys(program.inputs)) {
      if (name in feeds || name === "k_cache" || name === "v_cache" || name === "cache_positions") continue;
      const key = layerPrefix(layer) + name;
      if (weights.isPacked(key)) packed.push(name);
      else feeds[name] = weights.feed(key, name);
    }
    return { program, feeds, outputs: { y, k, v }, packed };
  }
}
