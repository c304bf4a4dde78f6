import type { GgufFile } from "../../folders/index.ts";
import { type GgufHeader, type GgufTensor, printable } from "../../formats/index.ts";
import { type LedgerEntry, ledgerCounts, type Role } from "../../ledger/index.ts";
import { hfTensorName } from "../../model/index.ts";
import type { InspectedAdapter } from "./inspected-adapter.ts";
import type { InspectResult } from "./types.ts";

/** Name of a matrix in llama.cpp's adapters: that of the weight that it changes, and which of the two it is. */
const LORA = /^(.+)\.lora_([ab])$/;
/** As PEFT has it, so that the same adapter has the same names in both forms. */
const PEFT_PREFIX = "base_model.model.";

function text({ metadata }: GgufHeader, key: string): string | null {
  const entry = metadata.get(key);
  return entry?.type === "STRING" ? printable(entry.value, 80) : null;
}

/** Whether a GGUF file is an adapter for llama.cpp's `--lora` and no model. */
export function isGgufAdapter(header: GgufHeader): boolean {
  return text(header, "general.type") === "adapter" || text(header, "adapter.type") !== null;
}

/** The tensor as PEFT would call it; under its own name where llama.cpp's is not known. */
function entryOf(tensor: GgufTensor): LedgerEntry {
  const { name, type, shape, start, end } = tensor;
  const [, weight = "", matrix = ""] = LORA.exec(name) ?? [];
  const role: Role = matrix === "a" ? "lora_A" : matrix === "b" ? "lora_B" : "other";
  const known = role === "other" ? null : hfTensorName(weight);
  const module = (known ?? weight).replace(/\.weight$/, "");
  return {
    name: role === "other" ? name : `${PEFT_PREFIX}${module}.${role}.weight`,
    module: role === "other" ? name.slice(0, Math.max(0, name.lastIndexOf("."))) : module,
    role,
    shape,
    dtype: type,
    bytes: end - start,
    parameters: shape.reduce((product, size) => product * size, 1),
    trainable: role !== "other",
    group: null,
    state: "present",
  };
}

/** Ranks of the modules: A has as many rows. */
function ranksOf(entries: readonly LedgerEntry[]): number[] {
  const ranks = entries.flatMap(({ role, shape }) => (role === "lora_A" && shape[0] !== undefined ? [shape[0]] : []));
  return [...new Set(ranks)].sort((a, b) => a - b);
}

function adapterOf({ metadata }: GgufHeader, entries: readonly LedgerEntry[]): InspectedAdapter {
  const stored = metadata.get("adapter.lora.alpha");
  const alpha = stored?.type === "FLOAT32" || stored?.type === "FLOAT64" ? stored.value : null;
  const [rank = null, second] = ranksOf(entries);
  const isOneRank = second === undefined;
  const targets = entries.filter(({ role }) => role === "lora_A").map(({ module }) => module.slice(module.lastIndexOf(".") + 1));
  return {
    variant: "lora",
    rank: isOneRank ? rank : null,
    alpha,
    scaling: isOneRank && rank !== null && rank > 0 && alpha !== null ? alpha / rank : null,
    dropout: null,
    targetModules: [...new Set(targets)],
    excludeModules: null,
    layers: null,
    modulesToSave: null,
    ensureWeightTying: false,
    bias: null,
  };
}

/** What is odd about the matrices, and what can be done with the file. */
function notesOf({ header }: GgufFile, entries: readonly LedgerEntry[]): string[] {
  const ranks = ranksOf(entries);
  const sides = (role: Role): Set<string> => new Set(entries.filter((entry) => entry.role === role).map(({ module }) => module));
  const [a, b] = [sides("lora_A"), sides("lora_B")];
  const single = [...a].filter((module) => !b.has(module)).concat([...b].filter((module) => !a.has(module)));
  const others = entries.filter(({ role }) => role === "other");
  const name = text(header, "general.name");
  return [
    `GGUF of version ${header.version}${name === null ? "" : `, named ${name}`}: a LoRA adapter for llama.cpp's --lora; the tensors have the names that PEFT gives them`,
    ...(ranks.length > 1 ? [`its modules have the ranks ${ranks.join(", ")}; the scaling of each is alpha / its rank`] : []),
    ...(single.length === 0
      ? []
      : [`only one of lora_A and lora_B is there of ${single.length} of its modules, the first of them ${printable(single[0] ?? "", 80)}`]),
    ...(others.length === 0
      ? []
      : [`no LoRA matrices are ${others.length} of its tensors, the first of them ${printable(others[0]?.name ?? "", 80)}`]),
    "it cannot be imported or trained on: go on with the PEFT folder that it was made from",
  ];
}

/** What an adapter in llama.cpp's form holds, by its header, as for a PEFT adapter. */
export function inspectGgufAdapter(path: string, gguf: GgufFile): InspectResult {
  const { header, bytes } = gguf;
  const entries = [...header.tensors.values()].map(entryOf);
  const byRole: Partial<Record<Role, number>> = {};
  for (const { role, bytes: size } of entries) byRole[role] = (byRole[role] ?? 0) + size;
  return {
    kind: "file",
    path,
    architecture: text(header, "general.architecture"),
    adapter: adapterOf(header, entries),
    counts: { basis: "recorded", ...ledgerCounts({ basis: "recorded", entries }) },
    tensors: entries.map(({ state: _present, ...tensor }) => tensor),
    banner: null,
    bannerReason: "without its base's configuration the number of all parameters is not known",
    bytes: { onDisk: bytes, byRole },
    checkpoint: null,
    groups: [],
    provenance: {
      baseModel: text(header, "general.base_model.0.name"),
      revision: null,
      peftVersion: null,
      base: null,
      run: null,
      step: null,
    },
    notes: notesOf(gguf, entries),
  };
}
