import type { Role } from "../ledger/index.ts";
import { INPUT_EMBEDDING } from "../model/index.ts";

/** The key under which the graphs ask for the input embedding. */
export const EMBEDDING_KEY = `${INPUT_EMBEDDING}.weight`;

/** How a parameter lies in memory against its file: as it is, or as its transpose (2-D only). */
export type ParameterLayout = "as-stored" | "transposed";

/** The precision in which a trained tensor's values are kept between updates. */
export type MasterDtype = "F32" | "BF16";

/** A tensor that is trained: its values, its gradient, and what it is called. */
export interface Parameter {
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
  /** `BF16`: every value is a bfloat16 number; updates are rounded stochastically. */
  readonly masterDtype: MasterDtype;
  /** Working values (fp32), in `layout`. */
  readonly values: Float32Array;
  /** Gradient of the update under way (fp32), in `layout`. */
  readonly gradient: Float32Array;
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
export interface ParameterSource extends Omit<Parameter, "layout" | "values" | "gradient"> {
  /** Values as stored on disk; taken over where no transposition is needed. */
  readonly stored: Float32Array;
}

/** Makes a parameter; LoRA B is held transposed (see `linear`). */
export function createParameter(source: ParameterSource): Parameter {
  const { stored, ...facts } = source;
  const layout: ParameterLayout = source.role === "lora_B" ? "transposed" : "as-stored";
  const values = layout === "transposed" ? transposed(stored, ...planes(source.shape)) : stored;
  return { ...facts, layout, values, gradient: new Float32Array(values.length) };
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
