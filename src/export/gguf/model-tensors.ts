import { encodeFromF32, firstNotFinite, quantizeQ8_0 } from "../../codecs/index.ts";
import { HeirloomError, InternalError } from "../../core/index.ts";
import type { GgmlType, GgufToWrite, TensorFile } from "../../formats/index.ts";
import {
  ggufTensorName,
  llama3Factors,
  type ModelSpec,
  modelParameters,
  type ParameterSpec,
  permutedHeads,
  ROPE_FACTORS,
} from "../../model/index.ts";
import { allRows, chunksOf, denseRows, nf4Of, nf4Rows, type RowSource } from "../tensor-rows.ts";
import type { GgufType } from "./api.ts";
import type { GgufFamily } from "./model-metadata.ts";
import { permuteRows } from "./permute.ts";

/** Values in a block of Q8_0. */
const Q8_BLOCK = 32;

/** Vectors stay in fp32, as llama.cpp's converter keeps them; a matrix whose rows are no whole blocks is written in fp16. */
function typeOf(shape: readonly number[], type: GgufType): GgmlType {
  if (shape.length < 2) return "F32";
  if (type === "bf16") return "BF16";
  return type === "q8_0" && (shape.at(-1) ?? 0) % Q8_BLOCK === 0 ? "Q8_0" : "F16";
}

/** fp32 values as blocks of a type. @throws TENSOR_NOT_FINITE */
export function encodeBlocks(type: GgmlType, values: Float32Array, name: string): Uint8Array {
  const largest = type === "F16" || type === "Q8_0" ? values.reduce((found, value) => Math.max(found, Math.abs(value)), 0) : 0;
  // A scale of Q8_0 is the largest value / 127 in fp16.
  const limit = type === "F16" ? 65_504 : 65_504 * 127;
  const index = firstNotFinite(values);
  if (index >= 0 || largest > limit) {
    throw new HeirloomError(
      "TENSOR_NOT_FINITE",
      index >= 0 ? `element ${index} is ${values[index]}` : `${largest} is beyond what ${type} holds`,
      {
        where: name,
        hint: index >= 0 ? "the model is damaged" : "export with --type bf16",
      },
    );
  }
  if (type === "Q8_0") return quantizeQ8_0(values);
  if (type === "F32" || type === "F16" || type === "BF16") return encodeFromF32(type, values);
  throw new InternalError(`no encoding for ${type}`);
}

async function sourceOf(file: TensorFile, { name, shape, kind }: ParameterSpec): Promise<RowSource> {
  const packed = await nf4Of(file, { name, shape, linear: kind === "linear" }, null);
  return packed === null ? denseRows(file, name, shape) : nf4Rows(packed);
}

/** The tensors of a model as llama.cpp wants them: renamed, q and k in its order, encoded as they are written. */
export function modelTensors(file: TensorFile, spec: ModelSpec, family: GgufFamily, type: GgufType, onTensor: () => void): GgufToWrite[] {
  const parameters = modelParameters(spec).filter(({ tiedTo }) => tiedTo === undefined);
  const tensors = parameters.map((parameter): GgufToWrite => {
    const name = ggufTensorName(parameter.name);
    if (name === null) throw new InternalError(`${parameter.name} has no name in GGUF`);
    const own = typeOf(parameter.shape, type);
    const permutes = family.permutes && permutedHeads(parameter.name) !== null;
    return {
      name,
      type: own,
      shape: parameter.shape,
      async *chunks() {
        const source = await sourceOf(file, parameter);
        if (permutes) {
          const columns = parameter.shape.length > 1 ? source.columns : 1;
          yield encodeBlocks(own, permuteRows(await allRows(source), columns, spec.headDim), parameter.name);
        } else for await (const { values } of chunksOf(source)) yield encodeBlocks(own, values, parameter.name);
        onTensor();
      },
    };
  });
  const { scaling, theta } = spec.rope;
  if (scaling.kind !== "llama3") return tensors;
  const factors = Float32Array.from(llama3Factors(scaling, theta, spec.headDim));
  return [{ name: ROPE_FACTORS, type: "F32", shape: [factors.length], chunks: () => [encodeFromF32("F32", factors)] }, ...tensors];
}
