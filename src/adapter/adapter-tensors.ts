import type { AdapterTensor, FullCopy, LoraTarget, ResolvedAdapter } from "./types.ts";

/** What PEFT puts before the base model's names. */
export const PEFT_PREFIX = "base_model.model.";

/** Live name of a full copy: the parameter's own name with the wrapper in its path. */
function copyLiveName(copy: FullCopy): string {
  const leaf = copy.parameter.slice(copy.module.length + 1);
  return `${PEFT_PREFIX}${copy.module}.modules_to_save.default.${leaf}`;
}

function copyTensor(copy: FullCopy): AdapterTensor {
  const source = copy.tiedWith;
  return {
    name: PEFT_PREFIX + copy.parameter,
    liveName: copyLiveName(copy),
    module: copy.module,
    role: "full_copy",
    shape: copy.shape,
    ...(source === undefined
      ? {}
      : { aliasOf: copyLiveName({ ...copy, module: source, parameter: copy.parameter.replace(copy.module, source) }) }),
  };
}

function loraTensors({ module, rank, inFeatures, outFeatures }: LoraTarget): AdapterTensor[] {
  const path = PEFT_PREFIX + module;
  return [
    { name: `${path}.lora_A.weight`, liveName: `${path}.lora_A.default.weight`, module, role: "lora_A", shape: [rank, inFeatures] },
    { name: `${path}.lora_B.weight`, liveName: `${path}.lora_B.default.weight`, module, role: "lora_B", shape: [outFeatures, rank] },
  ];
}

/**
 * All tensors of an adapter in the order of PEFT's `named_parameters()`, in which an
 * optimizer's index counts. Those with `aliasOf` are stored in the file but are no
 * parameter of their own: skip them when counting.
 */
export function adapterTensors(resolved: ResolvedAdapter): AdapterTensor[] {
  const tensors = new Map<string, AdapterTensor[]>();
  for (const target of resolved.lora) tensors.set(target.module, loraTensors(target));
  for (const copy of resolved.fullCopies) tensors.set(copy.module, [...(tensors.get(copy.module) ?? []), copyTensor(copy)]);
  return resolved.moduleOrder.flatMap((module) => tensors.get(module) ?? []);
}
