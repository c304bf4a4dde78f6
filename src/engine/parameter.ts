import { bf16ToF32, f32ToBf16 } from "../codecs/index.ts";
import type { Role } from "../ledger/index.ts";
import { INPUT_EMBEDDING } from "../model/index.ts";
import { RowGradient } from "./row-gradient.ts";

/** The key under which the graphs ask for the input embedding. */
export const EMBEDDING_KEY = `${INPUT_EMBEDDING}.weight`;

/** How a parameter lies in memory against its file: as it is, or as its transpose (2-D only). */
export type ParameterLayout = "as-stored" | "transposed";

/** The precision in which a trained tensor's values are kept between updates. */
export type MasterDtype = "F32" | "BF16";

/** What is known of a trained tensor besides its numbers. */
interface ParameterFacts {
  /** Live name, as PEFT's `named_parameters()` gives it. */
  readonly name: string;
  /** Key in the file that it is saved to. */
  readonly diskName: string;
  readonly module: string;
  /** Names under which the graphs ask for it; two where one tensor serves as embedding and head. */
  readonly keys: readonly string[];
  readonly role: Role;
  /** Shape as stored on disk. */
  readonly shape: readonly number[];
  readonly layout: ParameterLayout;
  /** Gradient of the update under way (fp32), in `layout`: of every value, or of the rows of an embedding that the update reads. */
  readonly gradient: Float32Array | RowGradient;
}

/** A trained tensor whose values (in `layout`) are fp32. */
export interface Fp32Parameter extends ParameterFacts {
  readonly masterDtype: "F32";
  readonly values: Float32Array;
}

/** A trained tensor whose values are held as the bits of bfloat16 numbers; updates are rounded stochastically. */
export interface Bf16Parameter extends ParameterFacts {
  readonly masterDtype: "BF16";
  readonly values: Uint16Array;
}

/** A tensor that is trained: its values, its gradient, and what it is called. */
export type Parameter = Fp32Parameter | Bf16Parameter;

/** The values `start` to `end − 1` as fp32: a view where they are held so, else decoded into `scratch`. */
export function readValues(
  { masterDtype, values }: Parameter,
  start = 0,
  end = values.length,
  scratch: (length: number) => Float32Array = (length) => new Float32Array(length),
): Float32Array {
  if (masterDtype === "F32") return values.subarray(start, end);
  return bf16ToF32(values.subarray(start, end), scratch(end - start));
}

/** Sets the values from `start` on; for bf16 masters each is rounded to nearest. */
export function writeValues({ masterDtype, values }: Parameter, written: Float32Array, start = 0): void {
  if (masterDtype === "F32") values.set(written, start);
  else f32ToBf16(written, values.subarray(start, start + written.length));
}

/** Rows × columns of a 2-D shape; throws nothing, 1-D counts as one row. */
function planes(shape: readonly number[]): [number, number] {
  return shape.length === 2 ? [shape[0] as number, shape[1] as number] : [1, shape.reduce((product, n) => product * n, 1)];
}

/** The transpose of a row-major [rows, columns] matrix. */
function transposed(values: Float32Array, rows: number, columns: number): Float32Array {
  const out = new Float32Array(values.length);
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) out[c * rows + r] = values[r * columns + c] as number;
  }
  return out;
}

/** What a parameter is made from. */
export interface ParameterSource extends Omit<ParameterFacts, "layout" | "gradient"> {
  readonly masterDtype: MasterDtype;
  /** Values as stored on disk, or bits of bf16 ones; taken over where neither layout nor dtype changes. For a bf16 master fp32 ones are rounded to nearest. */
  readonly stored: Float32Array | Uint16Array;
  /** Whether only the rows that an update reads have a gradient. */
  readonly rowGradient: boolean;
}

/** Makes a parameter; LoRA B is held transposed (see `linear`). */
export function createParameter(source: ParameterSource): Parameter {
  const { stored, masterDtype, rowGradient, ...facts } = source;
  const layout: ParameterLayout = source.role === "lora_B" ? "transposed" : "as-stored";
  const gradient = rowGradient ? new RowGradient(planes(source.shape)[1]) : new Float32Array(stored.length);
  const made = { ...facts, layout, gradient };
  if (masterDtype === "BF16") return { ...made, masterDtype, values: stored instanceof Uint16Array ? stored : f32ToBf16(stored) };
  const values = stored instanceof Uint16Array ? bf16ToF32(stored) : stored;
  return { ...made, masterDtype, values: layout === "transposed" ? transposed(values, ...planes(source.shape)) : values };
}

/** A tensor in memory layout, as it is stored on disk (a copy only if it must be transposed). */
export function storedLayout(parameter: Parameter, values: Float32Array): Float32Array {
  if (parameter.layout === "as-stored") return values;
  const [rows, columns] = planes(parameter.shape);
  return transposed(values, columns, rows);
}

/** A tensor in disk layout, as it lies in memory (the inverse of {@link storedLayout}). */
export function memoryLayout(parameter: Parameter, stored: Float32Array): Float32Array {
  return parameter.layout === "as-stored" ? stored : transposed(stored, ...planes(parameter.shape));
}
