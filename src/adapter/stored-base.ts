import { type ModelSpec, modelModules, moduleParameters } from "../model/index.ts";
import { liesInCopy } from "./full-copies.ts";
import { EMBEDDING_NAMES, lastPart } from "./names.ts";
import type { AdapterSpec, FullCopy, LoraTarget, StoredBase } from "./types.ts";

/**
 * The base's own parameters that PEFT stores with an adapter: the biases that `bias` trains, and the weights of
 * embeddings under LoRA.
 *
 * @param embeddings whether PEFT sees the embeddings among the targets
 */
export function resolveStoredBase(
  spec: ModelSpec,
  adapter: AdapterSpec,
  found: { readonly lora: readonly LoraTarget[]; readonly fullCopies: readonly FullCopy[]; readonly embeddings: boolean },
): StoredBase[] {
  const targets = new Set(found.lora.map(({ module }) => module));
  return modelModules(spec).flatMap((module): StoredBase[] => {
    const { path } = module;
    const isTarget = targets.has(path);
    const isCopied = liesInCopy(path, found.fullCopies);
    const trains = adapter.bias === "all" ? !isCopied : adapter.bias === "lora_only" && isTarget;
    // Of a copied module `bias: all` stores the original's bias too, which the copy has frozen.
    const repeats = adapter.bias === "all" && isCopied;
    const keeps = found.embeddings && isTarget && EMBEDDING_NAMES.includes(lastPart(path));
    return moduleParameters(spec, module).flatMap(({ name, shape, kind }): StoredBase[] => {
      const trained = kind === "bias" && trains;
      return trained || keeps || (kind === "bias" && repeats) ? [{ module: path, parameter: name, shape, trained }] : [];
    });
  });
}
