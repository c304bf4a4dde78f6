import { setImmediate as turn } from "node:timers/promises";
import { dynamicType } from "../../codecs/index.ts";
import { type Parameter, readGradient, readValues } from "../../engine/index.ts";
import { Kernels } from "../../kernels/index.ts";
import { hasEightBitMoments, MOMENT_BLOCK } from "../../ledger/index.ts";
import { type AdamScalars, adamScalars, SCALARS } from "./adam-step.ts";
import { GraphAdam } from "./graph-adam.ts";
import type { Compile, Optimizer, OptimizerSettings, OptimizerSlot, OptimizerTarget, StorePiece } from "./types.ts";

/** Moments in 8 bits, by bitsandbytes' names: codes, scales of blocks, and the values that codes stand for. */
interface EightBitState {
  readonly state1: Uint8Array;
  readonly state2: Uint8Array;
  readonly absmax1: Float32Array;
  readonly absmax2: Float32Array;
  readonly qmap1: Float32Array;
  readonly qmap2: Float32Array;
}

/** Moments in fp32, under the same names. */
interface FullState {
  readonly state1: Float32Array;
  readonly state2: Float32Array;
}

type Slot = OptimizerSlot & { readonly state: (EightBitState | FullState) & OptimizerSlot["state"] };

/** Values that are taken into the kernel's memory at a time: with gradient and codes 0.6 MB, a whole number of blocks. */
const PIECE = 2 ** 16;
/** After so many pieces, some 10 ms, the event loop has a turn. */
const PIECES_PER_TURN = 16;
/** Values that the kernel takes at once. */
const LANES = 4;

function stateOf({ role, values: { length } }: Parameter): Slot["state"] {
  if (!hasEightBitMoments({ role, parameters: length })) return { state1: new Float32Array(length), state2: new Float32Array(length) };
  const blocks = Math.ceil(length / MOMENT_BLOCK);
  return {
    state1: new Uint8Array(length),
    state2: new Uint8Array(length),
    absmax1: new Float32Array(blocks),
    absmax2: new Float32Array(blocks),
    qmap1: dynamicType(true).map,
    qmap2: dynamicType(false).map,
  };
}

function isEightBit(state: EightBitState | FullState): state is EightBitState {
  return "absmax1" in state;
}

/** The kernel with its tables, and a piece of a tensor. */
class KernelAdam {
  readonly #kernels = new Kernels({
    w: 4 * PIECE,
    g: 4 * PIECE,
    codes1: PIECE,
    codes2: PIECE,
    scales1: (4 * PIECE) / MOMENT_BLOCK,
    scales2: (4 * PIECE) / MOMENT_BLOCK,
    map1: 4 * 256,
    map2: 4 * 256,
    table1: 65_536,
    table2: 65_536,
    temporary: 8 * MOMENT_BLOCK,
    scalars: 4 * SCALARS.length,
  });

  constructor() {
    for (const [index, signed] of [
      ["1", true],
      ["2", false],
    ] as const) {
      const { map, codes } = dynamicType(signed);
      this.#kernels.floats(`map${index}`, map.length).set(map);
      this.#kernels.bytes(`table${index}`, codes.length).set(codes);
    }
  }

  async update(parameter: Parameter, state: EightBitState, scalars: AdamScalars, store: StorePiece): Promise<void> {
    this.#kernels.floats("scalars", SCALARS.length).set(SCALARS.map((name) => scalars[name]));
    const { length } = parameter.values;
    for (let start = 0, piece = 1; start < length; start += PIECE, piece++) {
      this.#piece(parameter, state, { start, end: Math.min(start + PIECE, length) }, store);
      if (piece % PIECES_PER_TURN === 0) await turn();
    }
  }

  #piece(
    parameter: Parameter,
    state: EightBitState,
    { start, end }: { readonly start: number; readonly end: number },
    store: StorePiece,
  ): void {
    const kernels = this.#kernels;
    const count = end - start;
    const padded = LANES * Math.ceil(count / LANES);
    const [first, last] = [start / MOMENT_BLOCK, Math.ceil(end / MOMENT_BLOCK)];
    const w = kernels.floats("w", padded).fill(0, count);
    const g = kernels.floats("g", padded).fill(0, count);
    const codes = [kernels.bytes("codes1", padded).fill(0, count), kernels.bytes("codes2", padded).fill(0, count)] as const;
    const scales = [kernels.floats("scales1", last - first), kernels.floats("scales2", last - first)] as const;
    w.set(readValues(parameter, start, end));
    g.set(readGradient(parameter.gradient, start, end, g.subarray(0, count)));
    codes[0].set(state.state1.subarray(start, end));
    codes[1].set(state.state2.subarray(start, end));
    scales[0].set(state.absmax1.subarray(first, last));
    scales[1].set(state.absmax2.subarray(first, last));
    const at = kernels.at.bind(kernels);
    const moments = [at("codes1"), at("scales1"), at("map1"), at("table1"), at("codes2"), at("scales2"), at("map2"), at("table2")] as const;
    kernels.functions.adamw8bit(at("w"), at("g"), ...moments, at("temporary"), at("scalars"), padded);
    state.state1.set(codes[0].subarray(0, count), start);
    state.state2.set(codes[1].subarray(0, count), start);
    state.absmax1.set(scales[0], first);
    state.absmax2.set(scales[1], first);
    if (parameter.masterDtype === "F32") parameter.values.set(w.subarray(0, count), start);
    else store(parameter, start, w.subarray(0, count));
  }
}

/**
 * AdamW whose moments are kept in 8 bits (Dettmers et al. 2022, block-wise, dynamic types), the arithmetic and the state of
 * bitsandbytes' AdamW8bit. A moment is exact while it is used, and loses at most half a step of its code between updates:
 * of the signed type 1/256 of a block's largest value, of small values less. What has fp32 moments, `hasEightBitMoments` says.
 */
export class AdamW8bit implements Optimizer {
  readonly name = "adamw8bit";
  readonly slots: readonly Slot[];
  readonly #settings: OptimizerSettings;
  readonly #full: GraphAdam;
  readonly #packed = new KernelAdam();
  step = 0;

  constructor(targets: readonly OptimizerTarget[], settings: OptimizerSettings, compile: Compile) {
    this.#settings = settings;
    this.#full = new GraphAdam(compile);
    this.slots = targets.map((target) => ({ ...target, state: stateOf(target.parameter) }));
  }

  async update(rates: ReadonlyMap<string, number>, gradientScale: number, store: StorePiece): Promise<void> {
    this.step++;
    for (const { parameter, group, weightDecay, state } of this.slots) {
      const scalars = adamScalars(this.#settings, { step: this.step, rate: rates.get(group) ?? 0, weightDecay, gradientScale });
      if (isEightBit(state)) await this.#packed.update(parameter, state, scalars, store);
      else await this.#full.update(parameter, { mean: state.state1, square: state.state2 }, scalars, store);
    }
  }
}
