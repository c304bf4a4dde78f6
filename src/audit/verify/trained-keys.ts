import type { StoredTensor, TensorFile } from "../../formats/index.ts";
import { isDeclaredCopy } from "./config-targets.ts";
import { type AdapterKey, isHead } from "./keys.ts";
import type { AuditSubject, BaseFacts, SubjectWith } from "./types.ts";

/** Plain keys that the configuration explains: full copies, and biases where they are trained. */
export function isExplained({ lora }: SubjectWith<"lora">, key: AdapterKey): boolean {
  return isDeclaredCopy(lora, key.module) || (key.leaf === "bias" && lora.bias !== "none");
}

/** A bias of a module under LoRA, where the configuration trains biases: PEFT stores it inside its wrapper. */
export function isTrainedBias({ lora }: SubjectWith<"lora">, { part, leaf }: AdapterKey): boolean {
  return part === "base_layer" && leaf === "bias" && lora.bias !== "none";
}

/** Keys that hold what was trained; without the weights of the base that PEFT stored by itself. */
export function trainedKeys(subject: SubjectWith<"lora">): AdapterKey[] {
  return subject.keys.filter((key) => {
    if (key.part === "base_layer") return isTrainedBias(subject, key);
    return key.part !== "plain" || isExplained(subject, key);
  });
}

/** Keys of modules that are stored as a whole, declared or not. */
export function copyKeys({ keys }: AuditSubject): AdapterKey[] {
  return keys.filter(({ part }) => part === "plain");
}

/** The base's tensor that a stored copy is a copy of; a tied head is the embedding. */
export function baseTensor(weights: TensorFile, base: BaseFacts | null, { module, leaf }: AdapterKey): StoredTensor | undefined {
  const name = `${module}.${leaf}`;
  const found = weights.tensors.get(name) ?? weights.tensors.get(name.slice(name.indexOf(".") + 1));
  if (found !== undefined || base?.tied !== true || !isHead(module)) return found;
  const embedding = [...weights.tensors.keys()].find((key) => /(^|\.)(embed_tokens|wte|embed_in|word_embeddings)\.weight$/.test(key));
  return embedding === undefined ? undefined : weights.tensors.get(embedding);
}
