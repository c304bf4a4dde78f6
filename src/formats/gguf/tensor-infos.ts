import { type ByteSource, HeirloomError, ProblemList } from "../../core/index.ts";
import { printable } from "../printable.ts";
import type { Cursor } from "./cursor.ts";
import { type GgmlType, ggmlBytes, ggmlTypeOf, unknownTypeText } from "./ggml-types.ts";

/*
 * Layout: name (u64 length, UTF-8) | u32 number of dimensions | u64 each, the
 * fastest first | u32 type | u64 offset from the start of the data, a multiple
 * of the alignment.
 *
 * Limits, and why:
 */
/** GGML_MAX_DIMS. */
const MAX_DIMENSIONS = 4;
/** llama.cpp keeps 64 characters; other tools' names of vision towers go to 90. */
const MAX_NAME_BYTES = 1_024;
/** How many faults of one header a message lists. */
const MAX_PROBLEMS = 20;

/** One tensor of a GGUF file; `start` and `end` are byte offsets from the start of the file. */
export interface GgufTensor {
  readonly name: string;
  readonly type: GgmlType;
  /** Row-major, the slowest dimension first, as safetensors has it: the reverse of the order in the file. */
  readonly shape: readonly number[];
  readonly start: number;
  readonly end: number;
}

/** A tensor before it is known where the data begin. */
export interface TensorInfo extends Omit<GgufTensor, "start" | "end"> {
  readonly offset: number;
  readonly bytes: number;
}

function readInfo(cursor: Cursor): TensorInfo {
  const name = cursor.text("a tensor name", MAX_NAME_BYTES);
  const where = printable(name, 80);
  const dimensions = cursor.u32();
  if (dimensions > MAX_DIMENSIONS) throw cursor.invalid(`${where}: expected at most ${MAX_DIMENSIONS} dimensions, found ${dimensions}`);
  const shape: number[] = [];
  for (let i = 0; i < dimensions; i++) shape.unshift(cursor.count(`${where}: a dimension`, Number.MAX_SAFE_INTEGER));
  const id = cursor.u32();
  const type = ggmlTypeOf(id);
  if (type === undefined) {
    throw new HeirloomError("QUANTIZATION_UNSUPPORTED", `${where}: found ${unknownTypeText(id)}`, {
      where: `byte ${cursor.at - 4}`,
      hint: "quantize the model again with a current llama.cpp, to Q8_0, Q4_K_M or the like",
    });
  }
  const offset = cursor.count(`${where}: an offset`, Number.MAX_SAFE_INTEGER);
  const bytes = ggmlBytes(type, shape);
  if (bytes === undefined || bytes === 0)
    throw cursor.invalid(`${where}: expected whole blocks of ${type} in a row, found the shape [${shape.join(", ")}]`);
  return { name, type, shape, offset, bytes };
}

/** Reads `count` descriptions of tensors. @throws GGUF_INVALID, QUANTIZATION_UNSUPPORTED; NeedsMore */
export function readTensorInfos(cursor: Cursor, count: number): TensorInfo[] {
  const infos: TensorInfo[] = [];
  const names = new Set<string>();
  for (let i = 0; i < count; i++) {
    const info = readInfo(cursor);
    if (names.has(info.name)) throw cursor.invalid(`expected every tensor once, found ${printable(info.name, 80)} twice`);
    names.add(info.name);
    infos.push(info);
  }
  return infos;
}

/**
 * Places the tensors in the file and checks where they lie: at multiples of the
 * alignment, one after the other without overlap, inside the file.
 *
 * @throws GGUF_INVALID with all faults; GGUF_TRUNCATED
 */
export function placeTensors(
  infos: readonly TensorInfo[],
  dataStart: number,
  alignment: number,
  source: ByteSource,
): Map<string, GgufTensor> {
  const problems = new ProblemList();
  const report = (message: string): void => {
    if (problems.problems.length < MAX_PROBLEMS)
      problems.add("GGUF_INVALID", message, { where: printable(source.name), hint: "fetch or convert the file again" });
  };
  let [end, before] = [0, ""];
  for (const { name, offset, bytes } of [...infos].sort((a, b) => a.offset - b.offset)) {
    if (offset % alignment !== 0) report(`${printable(name, 80)}: expected an offset that is a multiple of ${alignment}, found ${offset}`);
    if (offset < end) report(`${printable(name, 80)}: overlaps ${printable(before, 80)}`);
    if (offset + bytes > end) [end, before] = [offset + bytes, name];
  }
  problems.throwIfAny();
  const expected = dataStart + end;
  if (!Number.isSafeInteger(expected) || expected > source.size) {
    throw new HeirloomError("GGUF_TRUNCATED", `expected ${expected} bytes, found ${source.size}`, {
      where: printable(source.name),
      hint: "the download or copy was cut short: fetch the file again",
      details: { expectedBytes: expected, foundBytes: source.size },
    });
  }
  const placed = infos.map(({ offset, bytes, ...rest }) => ({ ...rest, start: dataStart + offset, end: dataStart + offset + bytes }));
  return new Map(placed.map((tensor) => [tensor.name, tensor]));
}
