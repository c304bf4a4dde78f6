import {
  dequantizeGguf,
  encodeFromF32,
  firstNotFinite,
  isReadableGgmlType,
  READABLE_GGML_TYPES,
  type ReadableGgmlType,
} from "../../codecs/index.ts";
import { type ByteSource, HeirloomError, listNames, ProblemList } from "../../core/index.ts";
import { GGML_TYPES, type GgufTensor, printable, type TensorToWrite } from "../../formats/index.ts";
import { type GgufModel, type GgufParameter, permutedHeads } from "../../model/index.ts";

/** What weights are written as. */
export type ImportDtype = "bf16" | "fp16" | "fp32";

const STORED_DTYPE = { bf16: "BF16", fp16: "F16", fp32: "F32" } as const;

/** Values that are worked on at a time: 16 MiB of fp32, and as much again for what is read and written. */
const CHUNK_VALUES = 4_194_304;
/** From here on the nearest fp16 is infinity. */
const FP16_BOUND = 65_520;
/** How many tensors a message names. */
const MAX_NAMED = 6;

/** Progress of the weights. */
export interface WeightsProgress {
  readonly tensor: string;
  readonly doneBytes: number;
  readonly bytes: number;
}

/** Refuses blocks that are not read, all of them at once. @throws QUANTIZATION_UNSUPPORTED */
export function requireReadable(tensors: Iterable<GgufTensor>, where: string): void {
  const byType = new Map<string, string[]>();
  for (const { name, type } of tensors) if (!isReadableGgmlType(type)) byType.set(type, [...(byType.get(type) ?? []), name]);
  const problems = new ProblemList();
  for (const [type, names] of byType) {
    const named = names.map((name) => printable(name, 80));
    problems.add("QUANTIZATION_UNSUPPORTED", `${type} cannot be read (${listNames(named, MAX_NAMED)})`, {
      where,
      hint: `take the model as one of ${READABLE_GGML_TYPES.join(", ")}; the name of the file mostly says which it is`,
      details: { type, tensors: names.length },
    });
  }
  problems.throwIfAny();
}

/** Values of one tensor, whole rows at a time. */
export async function ggufValues(source: ByteSource, { type, start, end }: GgufTensor): Promise<Float32Array> {
  return dequantizeGguf(type as ReadableGgmlType, await source.read(start, end));
}

/**
 * Rows of whole heads from llama.cpp's order, in which the two halves of a head are
 * interleaved (row 2i + half), to that of transformers (row half · dim/2 + i).
 *
 * @param values `[heads · headDim, columns]`
 */
function unpermuteHeads(values: Float32Array, headDim: number, columns: number): Float32Array {
  const out = new Float32Array(values.length);
  const rows = values.length / columns;
  for (let row = 0; row < rows; row++) {
    const inHead = row % headDim;
    const target = row - inHead + (inHead % 2) * (headDim / 2) + (inHead >> 1);
    out.set(values.subarray(row * columns, (row + 1) * columns), target * columns);
  }
  return out;
}

interface Job {
  readonly source: ByteSource;
  readonly model: GgufModel;
  readonly dtype: ImportDtype;
  readonly stopIfAsked: () => void;
  readonly progress: (tensor: string, bytesRead: number) => void;
}

function requireFinite(values: Float32Array, { dtype, source }: Job, name: string): void {
  const where = `${printable(source.name)}, ${name}`;
  if (firstNotFinite(values) >= 0) {
    throw new HeirloomError("TENSOR_NOT_FINITE", "expected finite weights, found NaN or infinity", {
      where,
      hint: "fetch the file again, or take another quantization of the model",
    });
  }
  if (dtype === "fp16" && values.some((value) => Math.abs(value) >= FP16_BOUND)) {
    throw new HeirloomError("TENSOR_NOT_FINITE", "found a weight that fp16 cannot hold (65,504 at most)", {
      where,
      hint: "use --dtype bf16",
    });
  }
}

/** One parameter, read, dequantized and encoded a few rows at a time. */
async function* chunksOf(job: Job, { name, shape, stored }: GgufParameter): AsyncGenerator<Uint8Array, void, undefined> {
  const { source, model, dtype } = job;
  const isMatrix = shape.length > 1;
  const columns = isMatrix ? (shape.at(-1) ?? 1) : 1;
  const rowCount = shape[0] ?? 1;
  const isPermuted = model.permutes && permutedHeads(name) !== null;
  const { headDim } = model.spec;
  const unit = isPermuted ? headDim : 1;
  // The rows of a vector are single values, and blocks may be longer: it is read whole.
  const step = isMatrix ? Math.max(unit, Math.floor(CHUNK_VALUES / columns / unit) * unit) : rowCount;
  const { values, bytes } = GGML_TYPES[stored.type];
  const rowBytes = (columns / values) * bytes;
  for (let row = 0; row < rowCount; row += step) {
    job.stopIfAsked();
    const end = Math.min(rowCount, row + step);
    const from = stored.start + row * rowBytes;
    const to = stored.start + end * rowBytes;
    const chunk = await ggufValues(source, { ...stored, start: from, end: to });
    requireFinite(chunk, job, name);
    yield encodeFromF32(STORED_DTYPE[dtype], isPermuted ? unpermuteHeads(chunk, headDim, columns) : chunk);
    job.progress(name, to - from);
  }
}

/**
 * The parameters of a model as tensors to write: dequantized, their heads in the
 * order of transformers, rounded to `dtype`. A chunk at a time is held.
 *
 * @param stopIfAsked called between chunks; throws to stop
 */
export function tensorsToWrite(
  source: ByteSource,
  model: GgufModel,
  dtype: ImportDtype,
  stopIfAsked: () => void,
  onProgress: (progress: WeightsProgress) => void,
): TensorToWrite[] {
  const bytes = model.parameters.reduce((sum, { stored }) => sum + stored.end - stored.start, 0);
  let doneBytes = 0;
  const progress = (tensor: string, read: number): void => {
    doneBytes += read;
    onProgress({ tensor, doneBytes, bytes });
  };
  const job: Job = { source, model, dtype, stopIfAsked, progress };
  return model.parameters.map((parameter) => ({
    name: parameter.name,
    shape: parameter.shape,
    dtype: STORED_DTYPE[dtype],
    chunks: () => chunksOf(job, parameter),
  }));
}
