import { baseLiveNames, PEFT_PREFIX } from "../adapter/index.ts";
import type { LoraPeftConfig, PeftConfig } from "../formats/index.ts";
import {
  type ModelSpec,
  type ModuleSpec,
  modelModules,
  modelParameters,
  moduleParameters,
  type Nf4Spec,
  OUTPUT_EMBEDDING,
  quantizedModules,
} from "../model/index.ts";
import { bytesOf, entryOf } from "./entry.ts";
import { diskKey, liveNameFacts } from "./names.ts";
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
  const stored = Array.from(files.tensors)
    .filter(({ name }) => !isRepeated(name))
    .map((tensor) => storedEntry(tensor, lora))
    .filter((entry) => !isTiedHead(entry, files.spec, lora));
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

/** Biases of full copies that `bias: all` stores once more under live names, with those of the modules copied. */
function isRepeated(name: string): boolean {
  return /\.(modules_to_save|original_module)\.(.*\.)?bias$/.test(name);
}

/** What the head shares with the embedding (its copy, or its own weight): in the file twice, in the model once. */
function isTiedHead({ module, role }: LedgerEntry, spec: ModelSpec | undefined, config: LoraPeftConfig | null): boolean {
  if (module !== OUTPUT_EMBEDDING || spec?.tieWordEmbeddings !== true) return false;
  return role === "base" || (role === "full_copy" && config?.ensureWeightTying === true);
}

/** The module that is copied in full and is, or holds, `module`; PEFT matches names by the plain end of the path. */
function copiedModule(module: string, config: LoraPeftConfig | null): string | null {
  if (config?.ensureWeightTying === true && module === OUTPUT_EMBEDDING) return module;
  for (let path = module; path !== ""; path = path.slice(0, Math.max(0, path.lastIndexOf(".")))) {
    if (config?.modulesToSave?.some((saved) => path.endsWith(saved)) === true) return path;
  }
  return null;
}

function storedEntry({ name, dtype, shape }: StoredEntry, config: LoraPeftConfig | null): LedgerEntry {
  const facts = liveNameFacts(name);
  const { module } = facts;
  const leaf = name.slice(name.lastIndexOf(".") + 1);
  const trainsBias = leaf === "bias" && config !== null && config.bias !== "none";
  if (facts.role !== "base") {
    // MiCA draws B from the base and trains A alone.
    const trainable = !(facts.role === "lora_B" && config?.initLoraWeights === "mica");
    const role = facts.role === "lora_bias" && config?.bias === "all" ? "bias" : facts.role;
    return entryOf({ name: liveAdapterName(name, facts.role), module, role, shape, dtype, trainable, group: null });
  }
  if (name.includes(".base_layer."))
    return entryOf({
      name,
      module,
      role: trainsBias ? "bias" : "base",
      shape,
      dtype,
      trainable: trainsBias,
      group: null,
    });
  const copied = copiedModule(module, config);
  if (copied !== null) {
    return entryOf({
      name: `${PEFT_PREFIX}${copied}.modules_to_save.default.${`${module}.${leaf}`.slice(copied.length + 1)}`,
      module: copied,
      role: "full_copy",
      shape,
      dtype,
      trainable: true,
      group: null,
    });
  }
  if (trainsBias) return entryOf({ name, module, role: "bias", shape, dtype, trainable: true, group: null });
  return entryOf({ name, module, role: "other", shape, dtype, trainable: false, group: null });
}

/** Puts the adapter's name back where PEFT takes it out on saving. */
function liveAdapterName(key: string, role: Role): string {
  if (role === "lora_magnitude") return `${key}.default.weight`;
  return key.replace(/\.(lora_A|lora_B|lora_embedding_A|lora_embedding_B|trainable_tokens_delta)(?=\.|$)/, ".$1.default");
}

/** Where the stored tensors lie in a live model: what wraps the base's parameters, and after which module they are registered. */
function placesOf(modules: readonly ModuleSpec[], stored: readonly LedgerEntry[]) {
  const paths = (...roles: Role[]) => stored.filter(({ role }) => roles.includes(role)).map(({ module }) => ({ module }));
  const byPlace = new Map<string, LedgerEntry[]>();
  for (const entry of stored) {
    // A copied block comes after all of the original.
    const place = modules.findLast(({ path }) => path === entry.module || path.startsWith(`${entry.module}.`))?.path ?? entry.module;
    byPlace.set(place, [...(byPlace.get(place) ?? []), entry]);
  }
  const nameOf = baseLiveNames({ lora: paths("lora_A", "lora_B"), fullCopies: paths("full_copy"), tokenRows: paths("token_rows") });
  return { byPlace, nameOf };
}

function inModuleOrder(
  spec: ModelSpec,
  stored: readonly LedgerEntry[],
  baseDtype: string,
  quantization: AdapterFiles["quantization"] & (object | null),
): LedgerEntry[] {
  const modules = modelModules(spec);
  const { byPlace, nameOf } = placesOf(modules, stored);
  const parameterOrder = new Map(modelParameters(spec).map(({ name }, i) => [PEFT_PREFIX + name, i]));
  const quantized = new Set(quantization === null ? [] : quantizedModules(spec, quantization).map(({ path }) => path));
  const ordered: LedgerEntry[] = [];
  for (const module of modules) {
    const own = (byPlace.get(module.path) ?? []).sort((a, b) => inLayer(a, parameterOrder) - inLayer(b, parameterOrder));
    byPlace.delete(module.path);
    for (const { name, shape, tiedTo } of moduleParameters(spec, module)) {
      const liveName = nameOf(module.path, name);
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
  return [...ordered, ...[...byPlace.values()].flat()];
}

/** Order of registration within a PEFT layer. */
const LAYER_ORDER: readonly Role[] = [
  "base",
  "quantized_base",
  "bias",
  "lora_A",
  "lora_B",
  "lora_bias",
  "lora_magnitude",
  "token_rows",
  "other",
  "full_copy",
];

/** Place within a layer; the parameters of a copied block in the order of the block's own. */
function inLayer({ role, name }: LedgerEntry, parameterOrder: ReadonlyMap<string, number>): number {
  const place = role === "bias" && name.includes(".lora_B.") ? "lora_bias" : role;
  return LAYER_ORDER.indexOf(place) * (parameterOrder.size + 1) + (parameterOrder.get(diskKey(name)) ?? parameterOrder.size);
}
