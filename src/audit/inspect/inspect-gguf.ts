import { isReadableGgmlType } from "../../codecs/index.ts";
import { type ErrorCode, isHeirloomError } from "../../core/index.ts";
import type { GgufFile } from "../../folders/index.ts";
import { type GgmlType, type GgufTensor, printable } from "../../formats/index.ts";
import { type LedgerEntry, ledgerCounts } from "../../ledger/index.ts";
import type { GgufModel } from "../../model/index.ts";
import { inspectGgufAdapter, isGgufAdapter } from "./inspect-gguf-adapter.ts";
import type { InspectResult } from "./types.ts";

/** What can be looked at though it cannot be imported. */
const UNSUPPORTED: ReadonlySet<ErrorCode> = new Set(["ARCHITECTURE_UNSUPPORTED", "GGUF_UNSUPPORTED", "QUANTIZATION_UNSUPPORTED"]);
const PLAIN: ReadonlySet<GgmlType> = new Set(["F32", "F16", "BF16", "F64"]);

/** The tensor as an entry of the ledger, under the name that it has after the import. */
function entryOf(tensor: GgufTensor, name: string): LedgerEntry {
  const { type, shape, start, end } = tensor;
  return {
    name,
    module: name.slice(0, Math.max(0, name.lastIndexOf("."))),
    role: PLAIN.has(type) ? "base" : "quantized_base",
    shape,
    dtype: type,
    bytes: end - start,
    parameters: shape.reduce((product, size) => product * size, 1),
    trainable: false,
    group: null,
    state: "present",
  };
}

function modelOf(gguf: GgufFile): { readonly model: GgufModel | null; readonly reason: string | null } {
  try {
    return { model: gguf.model(), reason: null };
  } catch (error) {
    if (!isHeirloomError(error) || !UNSUPPORTED.has(error.code)) throw error;
    return { model: null, reason: error.problems.map(({ message }) => message).join("; ") };
  }
}

function text(gguf: GgufFile, key: string): string | null {
  const entry = gguf.header.metadata.get(key);
  return entry?.type === "STRING" ? printable(entry.value, 80) : null;
}

/** What the file says of itself, and what stands in the way of importing it. */
function notesOf(gguf: GgufFile, reason: string | null): string[] {
  const unread = [...new Set([...gguf.header.tensors.values()].map(({ type }) => type))].filter((type) => !isReadableGgmlType(type));
  const tokenizer = [text(gguf, "tokenizer.ggml.model"), text(gguf, "tokenizer.ggml.pre")].filter((part) => part !== null);
  const name = text(gguf, "general.name");
  return [
    `GGUF of version ${gguf.header.version}${name === null ? "" : `, named ${name}`}${tokenizer.length === 0 ? ", without a tokenizer" : `, tokenizer ${tokenizer.join(" / ")}`}`,
    ...(reason === null ? [] : [`${reason}: it can be looked at, not imported; the tensors have the names of the file`]),
    ...(unread.length === 0 ? [] : [`blocks of the type ${unread.join(", ")} cannot be read: the file cannot be imported`]),
    ...(reason === null && unread.length === 0 ? ["to train on it, make a model folder of it: heirloom import"] : []),
  ];
}

/** What a GGUF file holds, by its header. */
export function inspectGguf(path: string, gguf: GgufFile): InspectResult {
  if (isGgufAdapter(gguf.header)) return inspectGgufAdapter(path, gguf);
  const { model, reason } = modelOf(gguf);
  const entries =
    model === null
      ? [...gguf.header.tensors.values()].map((tensor) => entryOf(tensor, tensor.name))
      : model.parameters.map(({ name, stored }) => entryOf(stored, name));
  const byRole: Partial<Record<LedgerEntry["role"], number>> = {};
  for (const { role, bytes } of entries) byRole[role] = (byRole[role] ?? 0) + bytes;
  const classes = model?.config["architectures"];
  return {
    kind: "file",
    path,
    architecture: Array.isArray(classes) ? String(classes[0]) : text(gguf, "general.architecture"),
    adapter: null,
    counts: { basis: "recorded", ...ledgerCounts({ basis: "recorded", entries }) },
    tensors: entries.map(({ state: _present, ...tensor }) => tensor),
    banner: null,
    bannerReason: "a model without an adapter has no banner",
    bytes: { onDisk: gguf.bytes, byRole },
    checkpoint: null,
    groups: [],
    provenance: { baseModel: null, revision: null, peftVersion: null, base: null, run: null, step: null },
    notes: notesOf(gguf, reason),
  };
}
