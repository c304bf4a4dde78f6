import type { AdapterTensor, FullCopy, LoraTarget, ResolvedAdapter, StoredBase, TokenRows } from "./types.ts";

/** What PEFT puts before the base model's names. */
export const PEFT_PREFIX = "base_model.model.";

/** Live name of a full copy: the parameter's own name with the wrapper in its path. */
function copyLiveName(copy: FullCopy): string {
  const leaf = copy.parameter.slice(copy.module.length + 1);
  return `${PEFT_PREFIX}${copy.module}.modules_to_save.default.${leaf}`;
}

function copyTensors(copy: FullCopy, repeatsBiases: boolean): AdapterTensor[] {
  const source = copy.tiedWith;
  const tensor: AdapterTensor = {
    name: PEFT_PREFIX + copy.parameter,
    liveName: copyLiveName(copy),
    module: copy.module,
    role: "full_copy",
    shape: copy.shape,
    ...(source === undefined
      ? {}
      : { aliasOf: copyLiveName({ ...copy, module: source, parameter: copy.parameter.replace(copy.module, source) }) }),
  };
  if (!repeatsBiases || !copy.parameter.endsWith(".bias")) return [tensor];
  // PEFT takes the adapter's name out of such a key only where it stands right before the parameter's.
  const name = tensor.liveName.replace(/\.default\.bias$/, ".bias");
  return [tensor, { ...tensor, name, aliasOf: tensor.liveName }];
}

/** The tensors of one pair of matrices, in the order in which PEFT's layer registers them. */
function loraTensors(
  { module, kind, rank, inFeatures, outFeatures }: LoraTarget,
  { magnitude, loraBias, frozenB }: ResolvedAdapter["extras"],
): AdapterTensor[] {
  const path = PEFT_PREFIX + module;
  const [a, b, leaf] = kind === "Linear" ? ["lora_A", "lora_B", ".weight"] : ["lora_embedding_A", "lora_embedding_B", ""];
  const frozen = frozenB ? { frozen: true as const } : {};
  const tensors: AdapterTensor[] = [
    { name: `${path}.${a}${leaf}`, liveName: `${path}.${a}.default${leaf}`, module, role: "lora_A", shape: [rank, inFeatures] },
    { name: `${path}.${b}${leaf}`, liveName: `${path}.${b}.default${leaf}`, module, role: "lora_B", shape: [outFeatures, rank], ...frozen },
  ];
  if (loraBias !== null) {
    tensors.push({ name: `${path}.${b}.bias`, liveName: `${path}.${b}.default.bias`, module, role: loraBias, shape: [outFeatures] });
  }
  if (magnitude) {
    tensors.push({
      name: `${path}.lora_magnitude_vector`,
      liveName: `${path}.lora_magnitude_vector.default.weight`,
      module,
      role: "lora_magnitude",
      shape: [outFeatures],
    });
  }
  return tensors;
}

function tokenTensor({ module, shape }: TokenRows): AdapterTensor {
  const name = `${PEFT_PREFIX}${module}.token_adapter.trainable_tokens_delta`;
  return { name, liveName: `${name}.default`, module, role: "token_rows", shape };
}

/** PEFT stores a parameter of the base under its live name, wrapper included. */
function storedBaseTensor({ module, shape, trained }: StoredBase, liveName: string): AdapterTensor {
  return { name: liveName, liveName, module, role: trained ? "bias" : "base", shape, ...(trained ? {} : { frozen: true }) };
}

/** The last module of the model that is `path` or lies in it. */
function lastModuleIn(path: string, order: readonly string[]): string {
  return order.findLast((module) => module === path || module.startsWith(`${path}.`)) ?? path;
}

/**
 * All tensors of an adapter in the order of PEFT's `named_parameters()`, in which an
 * optimizer's index counts. Those with `aliasOf` are stored in the file but are no
 * parameter of their own, those that are `frozen` are stored but not trained: skip
 * both when counting what is trained.
 */
export function adapterTensors(resolved: ResolvedAdapter): AdapterTensor[] {
  const tensors = new Map<string, AdapterTensor[]>();
  const add = (module: string, ...own: readonly AdapterTensor[]) => tensors.set(module, [...(tensors.get(module) ?? []), ...own]);
  const nameOf = baseLiveNames(resolved);
  for (const stored of resolved.storedBase) add(stored.module, storedBaseTensor(stored, nameOf(stored.module, stored.parameter)));
  for (const target of resolved.lora) add(target.module, ...loraTensors(target, resolved.extras));
  for (const rows of resolved.tokenRows) if (rows.tiedWith === undefined) add(rows.module, tokenTensor(rows));
  // A block's wrapper holds all of the original first, then the copy.
  for (const copy of resolved.fullCopies)
    add(lastModuleIn(copy.module, resolved.moduleOrder), ...copyTensors(copy, resolved.extras.repeatsBiases));
  return resolved.moduleOrder.flatMap((module) => tensors.get(module) ?? []);
}

/** Paths of the modules that PEFT wraps, by what for. */
type Wrapped = Readonly<Record<"lora" | "fullCopies" | "tokenRows", readonly { readonly module: string }[]>>;

/**
 * How a live PEFT model calls the base's own parameters: with the wrapper of their module in the path
 * (`base_layer`, `original_module`, `token_adapter.base_layer`).
 */
export function baseLiveNames({ lora, fullCopies, tokenRows }: Wrapped): (module: string, parameter: string) => string {
  const inside = new Map<string, string>([
    ...tokenRows.map(({ module }) => [module, "token_adapter.base_layer"] as const),
    ...lora.map(({ module }) => [module, "base_layer"] as const),
    ...fullCopies.map(({ module }) => [module, "original_module"] as const),
  ]);
  return (module, parameter) => {
    let path = module;
    while (path !== "" && !inside.has(path)) path = path.slice(0, Math.max(0, path.lastIndexOf(".")));
    const wrapper = inside.get(path);
    return wrapper === undefined ? PEFT_PREFIX + parameter : `${PEFT_PREFIX}${path}.${wrapper}.${parameter.slice(path.length + 1)}`;
  };
}
