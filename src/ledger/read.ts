import { PEFT_PREFIX } from "../adapter/index.ts";
import type { LoraPeftConfig, PeftConfig } from "../formats/index.ts";
import { type ModelSpec, modelModules, moduleParameters, type Nf4Spec, OUTPUT_EMBEDDING, quantizedModules } from "../model/index.ts";
import { bytesOf, entryOf } from "./entry.ts";
import { liveNameFacts } from "./names.ts";
import type { Ledger, LedgerEntry, Role } from "./types.ts";

/** What a safetensors header says of one tensor. */
export interface StoredEntry {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
}

/** An adapter's files, by their headers. */
export interface AdapterFiles {
  /** Headers of adapter_model.safetensors, in any order. */
  readonly tensors: Iterable<StoredEntry>;
  /** Null if only the weights are at hand: then their names alone tell. */
  readonly config: PeftConfig | null;
  /** The base model; without it only the adapter's own tensors are in the ledger. */
  readonly spec?: ModelSpec;
  /** Dtype of the base's dense tensors. @defaultValue "F32" */
  readonly baseDtype?: string;
  /** How the base is quantized, if not as its own configuration says. */
  readonly quantization?: Pick<Nf4Spec, "doubleQuant" | "skipModules"> | null;
}

/**
 * The ledger that an adapter's files record: which tensors there are, and which of
 * them the configuration says are trained. A tensor that it does not explain (a
 * resized embedding that PEFT stored by itself) is there, but frozen.
 */
export function readLedger(files: AdapterFiles): Ledger {
  const lora = files.config?.kind === "lora" ? files.config : null;
  const stored = Array.from(files.tensors, (tensor) => storedEntry(tensor, lora)).filter(
    ({ module, role }) => !isTiedHead(module, role, files.spec, lora),
  );
  if (files.spec === undefined) return { basis: "recorded", entries: stored };
  return {
    basis: "recorded",
    entries: inModuleOrder(
      files.spec,
      stored,
      files.baseDtype ?? "F32",
      files.quantization === undefined ? files.spec.quantization : files.quantization,
    ),
  };
}

/** The copy of the head that is the embedding's copy: in the file twice, in the model once. */
function isTiedHead(module: string, role: Role, spec: ModelSpec | undefined, config: LoraPeftConfig | null): boolean {
  return role === "full_copy" && module === OUTPUT_EMBEDDING && spec?.tieWordEmbeddings === true && config?.ensureWeightTying === true;
}

function storedEntry({ name, dtype, shape }: StoredEntry, config: LoraPeftConfig | null): LedgerEntry {
  const facts = liveNameFacts(name);
  const { module } = facts;
  const leaf = name.slice(name.lastIndexOf(".") + 1);
  if (facts.role !== "base") {
    return entryOf({ name: liveAdapterName(name, facts.role), module, role: facts.role, shape, dtype, trainable: true, group: null });
  }
  if (name.includes(".base_layer."))
    return entryOf({
      name,
      module,
      role: leaf === "bias" && config?.bias !== "none" ? "bias" : "base",
      shape,
      dtype,
      trainable: leaf === "bias" && config?.bias !== "none",
      group: null,
    });
  // PEFT matches modules_to_save by the plain end of the path.
  if (
    config?.modulesToSave?.some((saved) => module.endsWith(saved)) === true ||
    (config?.ensureWeightTying === true && module === OUTPUT_EMBEDDING)
  ) {
    return entryOf({
      name: `${PEFT_PREFIX}${module}.modules_to_save.default.${leaf}`,
      module,
      role: "full_copy",
      shape,
      dtype,
      trainable: true,
      group: null,
    });
  }
  if (leaf === "bias" && config !== null && config.bias !== "none")
    return entryOf({ name, module, role: "bias", shape, dtype, trainable: true, group: null });
  return entryOf({ name, module, role: "other", shape, dtype, trainable: false, group: null });
}

/** Puts the adapter's name back where PEFT takes it out on saving. */
function liveAdapterName(key: string, role: Role): string {
  if (role === "lora_magnitude") return `${key}.default.weight`;
  return key.replace(/\.(lora_A|lora_B|lora_embedding_A|lora_embedding_B|trainable_tokens_delta)(?=\.|$)/, ".$1.default");
}

function inModuleOrder(
  spec: ModelSpec,
  stored: readonly LedgerEntry[],
  baseDtype: string,
  quantization: AdapterFiles["quantization"] & (object | null),
): LedgerEntry[] {
  const byModule = new Map<string, LedgerEntry[]>();
  for (const entry of stored) byModule.set(entry.module, [...(byModule.get(entry.module) ?? []), entry]);
  const quantized = new Set(quantization === null ? [] : quantizedModules(spec, quantization).map(({ path }) => path));
  const ordered: LedgerEntry[] = [];
  for (const module of modelModules(spec)) {
    const own = (byModule.get(module.path) ?? []).sort((a, b) => rank(a) - rank(b));
    byModule.delete(module.path);
    const roles = new Set(own.map(({ role }) => role));
    const wrapper = roles.has("lora_A") || roles.has("lora_B") ? "base_layer." : roles.has("full_copy") ? "original_module." : "";
    for (const { name, shape, tiedTo } of moduleParameters(spec, module)) {
      const liveName = `${PEFT_PREFIX}${module.path}.${wrapper}${name.slice(module.path.length + 1)}`;
      if (tiedTo !== undefined || own.some((entry) => entry.name === liveName)) continue;
      const packed = quantized.has(module.path) && name.endsWith(".weight");
      const dtype = packed ? "NF4" : baseDtype;
      const bytes = bytesOf(dtype, shape, quantization?.doubleQuant ?? false);
      ordered.push(
        entryOf({
          name: liveName,
          module: module.path,
          role: packed ? "quantized_base" : "base",
          shape,
          dtype,
          bytes,
          trainable: false,
          group: null,
        }),
      );
    }
    ordered.push(...own);
  }
  // What lies on no module of the base comes last, so that a comparison can name it.
  return [...ordered, ...[...byModule.values()].flat()];
}

/** Order of registration within a PEFT layer. */
function rank({ role, name }: LedgerEntry): number {
  const order: Role[] = ["base", "quantized_base", "bias", "lora_A", "lora_B", "lora_magnitude", "other", "full_copy"];
  return 2 * order.indexOf(role) + (name.endsWith(".bias") ? 1 : 0);
}
