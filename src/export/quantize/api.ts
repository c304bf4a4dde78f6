import type { GroupDifference } from "../merge/index.ts";

/** What to quantize, and into what. */
export interface QuantizeRequest {
  /** Folder of a dense model. */
  readonly path: string;
  /** Folder to make. */
  readonly output: string;
  /** Quantize the scales to 8 bits as well. @defaultValue false */
  readonly doubleQuant?: boolean;
  /** Largest file of weights in bytes. @defaultValue 5e9 */
  readonly maxShardBytes?: number;
}

/** What became of it. */
export interface QuantizeResult {
  readonly output: string;
  readonly model: string;
  readonly doubleQuant: boolean;
  /** Weights in NF4. */
  readonly quantized: number;
  /** Tensors kept as they are. */
  readonly kept: number;
  /** Bytes of tensors, before and after. */
  readonly bytes: { readonly before: number; readonly after: number };
  readonly files: readonly string[];
  /** How far the dequantized weights are from the dense ones. */
  readonly difference: readonly GroupDifference[];
  readonly seconds: number;
}
