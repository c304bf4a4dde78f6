import { type AdapterSpec, resolveTargets } from "../adapter/index.ts";
import type { AdapterConfig } from "../config/index.ts";
import { formatCount, HeirloomError } from "../core/index.ts";
import { INPUT_EMBEDDING, type ModelSpec, OUTPUT_EMBEDDING } from "../model/index.ts";

/** Parts of an adapter that change the one tensor that a tied base uses as embedding and as head. */
export interface TiedTraining {
  /** `model.embed_tokens`, `lm_head`: those that the configuration trains. */
  readonly modules: readonly string[];
  /** What the choice that was made means, or what there is to choose. */
  readonly meaning: string;
}

const SHARED = (size: string) =>
  `ensureWeightTying: true trains one copy of ${size} parameters as both: it is stored once, stays tied when it is merged, and PEFT 0.18 and later load it as what it is`;
const APART = (size: string) =>
  `ensureWeightTying: false trains what is named apart, ${size} parameters each: the tie is broken, a merged model needs tie_word_embeddings: false and a head of its own (heirloom merge writes both), and tools that tie them again lose one of the two`;

/**
 * What training the embedding or the head of a base that ties them means under this configuration; null if the base is
 * not tied or neither is trained. `modules` of an adapter that already exists are those of its own files.
 */
export function tiedTraining(spec: ModelSpec, adapter: AdapterSpec): TiedTraining | null {
  if (!spec.tieWordEmbeddings) return null;
  const { fullCopies, lora, tokenRows } = resolveTargets(spec, adapter);
  const touched = new Set([...fullCopies, ...lora, ...tokenRows].map(({ module }) => module));
  const modules = [INPUT_EMBEDDING, OUTPUT_EMBEDDING].filter((module) => touched.has(module));
  if (modules.length === 0) return null;
  const size = formatCount(spec.vocabSize * spec.hiddenSize);
  return { modules, meaning: adapter.ensureWeightTying ? SHARED(size) : APART(size) };
}

/**
 * Refuses to train an embedding or head of a tied base without being told which of the two things that means.
 *
 * @throws ADAPTER_TIED_CHOICE
 */
export function requireTiedChoice(spec: ModelSpec, config: AdapterConfig, adapter: AdapterSpec): void {
  if (config.ensureWeightTying !== null) return;
  const tied = tiedTraining(spec, adapter);
  if (tied === null) return;
  const size = formatCount(spec.vocabSize * spec.hiddenSize);
  throw new HeirloomError(
    "ADAPTER_TIED_CHOICE",
    `the base uses one tensor as embedding and head, and the adapter trains ${tied.modules.join(" and ")}: expected adapter.ensureWeightTying to say how, found nothing`,
    {
      where: "adapter.ensureWeightTying",
      hint: `choose: ${SHARED(size)}; ${APART(size)}`,
      details: { modules: tied.modules },
    },
  );
}
