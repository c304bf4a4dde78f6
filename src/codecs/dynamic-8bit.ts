/**
 * The 256 values of bitsandbytes' 8-bit "dynamic" type (`create_dynamic_map`; Dettmers, 8-bit Approximations, 2016): for
 * each power of ten from 1e-6 to 1, midpoints of equal steps between 0.1 and 1, twice as many each time; with both signs
 * from one midpoint on, or without a sign from two; and 0 and 1. Rounded to fp32 where torch on a CPU rounds, so
 * that it equals the map that files store bit for bit.
 */
function dynamicMap(signed: boolean): Float32Array {
  const f = Math.fround;
  const data = [0, 1];
  for (let i = 0; i < 7; i++) {
    const steps = 2 ** (signed ? i : i + 1);
    const step = f(f(1 - f(0.1)) / steps);
    // torch.linspace counts from both ends, each value a fused multiply-add (rounded once).
    const half = Math.floor((steps + 1) / 2);
    const boundary = (k: number): number => (k < half ? f(f(0.1) + step * k) : f(1 - step * (steps - k)));
    for (let k = 0; k < steps; k++) {
      const value = f(f(10 ** (i - 6)) * f(f(boundary(k) + boundary(k + 1)) / 2));
      data.push(value, ...(signed ? [-value] : []));
    }
  }
  return Float32Array.from(data).sort();
}

/**
 * Positions in [−1, 1] at which bitsandbytes' CPU quantizer (`build_quantize_lut` in csrc/cpu_ops.cpp, 0.50)
 * knows the code; a value takes that of the position it rounds to. Next to a tie this is one off the
 * nearest code, and what is quantized here must be what bitsandbytes makes.
 */
const POSITIONS = 65_536;

/** The map's code at each position: the number of midpoints strictly below. */
function codesByPosition(map: Float32Array): Uint8Array {
  const f = Math.fround;
  const codes = new Uint8Array(POSITIONS);
  let code = 0;
  for (let i = 0; i < POSITIONS; i++) {
    const position = f(-1 + f((2 * i) / (POSITIONS - 1)));
    while (code < map.length - 1 && f(0.5 * f((map[code] as number) + (map[code + 1] as number))) < position) code++;
    codes[i] = code;
  }
  return codes;
}

/** Index of the position to which a scaled value rounds, in fp32. */
function positionOf(scaled: number): number {
  const f = Math.fround;
  const clamped = Math.max(-1, Math.min(1, scaled));
  return Math.trunc(f(f(f(f(clamped + 1) * 0.5) * (POSITIONS - 1)) + 0.5));
}

/** An 8-bit type: its values, and the code of every value that is scaled to [−1, 1]. */
export interface DynamicType {
  /** [256], ascending. */
  readonly map: Float32Array;
  /** [65,536]: the code at each position, from −1 to 1. */
  readonly codes: Uint8Array;
  /** Code of a value in [−1, 1]; others are taken as the nearest end. */
  codeOf(scaled: number): number;
}

const TYPES = new Map<boolean, DynamicType>();

/** The dynamic type with values from −1 to 1, or from 0 to 1. */
export function dynamicType(signed: boolean): DynamicType {
  let type = TYPES.get(signed);
  if (type === undefined) {
    const map = dynamicMap(signed);
    const codes = codesByPosition(map);
    type = { map, codes, codeOf: (scaled) => codes[positionOf(scaled)] as number };
    TYPES.set(signed, type);
  }
  return type;
}
