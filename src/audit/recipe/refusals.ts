import { ProblemList } from "../../core/index.ts";
import type { RecipeSource, RecipeTool } from "./types.ts";

/** Something that a tool cannot express. */
interface Refusal {
  /** The key in adapter_config.json or the record. */
  readonly feature: string;
  readonly why: string;
  readonly hint: string;
  is(source: RecipeSource): boolean;
}

const copies = ({ tensors }: RecipeSource) => tensors.filter(({ role }) => role === "full_copy");

/** Where Axolotl's embedding_lr goes: to full copies, and to whatever has one of these names, LoRA matrices as well. */
const takesEmbeddingRate = ({ key, role }: RecipeSource["tensors"][number]) => role === "full_copy" || /embed_tokens|lm_head/.test(key);

/** Rates of the tensors that get embedding_lr, or of the others; without full copies none is written. */
function axolotlRates(source: RecipeSource, isEmbedding: boolean): Set<number | null> {
  const hasCopies = copies(source).length > 0;
  const used = new Set(
    source.tensors.filter((tensor) => (hasCopies && takesEmbeddingRate(tensor)) === isEmbedding).map(({ group }) => group),
  );
  return new Set(source.groups.filter(({ name }) => used.has(name)).map(({ learningRate }) => learningRate));
}

const MUTATED_BASE: Refusal = {
  feature: "init_lora_weights",
  why: "the adapter was started from changed base weights (PiSSA, OLoRA, CorDA, LoftQ …), which this recipe would not restore: on the plain base it is another model",
  hint: "save it converted to plain LoRA first (PEFT: path_initial_model_for_weight_conversion)",
  is: ({ config }) => typeof config.initLoraWeights === "string" && config.initLoraWeights !== "gaussian",
};
const ACTIVATED: Refusal = {
  feature: "trainable_token_indices",
  why: "single token rows are trained, which the guard's ledger does not follow",
  hint: "go on with the script that made it",
  is: ({ config }) => config.trainableTokenIndices !== null,
};

/**
 * What each tool cannot express, read in its source: Axolotl 0.19.0, LlamaFactory
 * 0.9.5, Unsloth 2026.10.9. Trainer-based Python recipes build their own
 * optimizer, so any groups will do there.
 */
const REFUSALS: Readonly<Record<RecipeTool, readonly Refusal[]>> = {
  peft: [MUTATED_BASE, ACTIVATED],
  trl: [MUTATED_BASE, ACTIVATED],
  unsloth: [
    MUTATED_BASE,
    ACTIVATED,
    {
      feature: "modules_to_save",
      why: "Unsloth's text models take full copies of embed_tokens and lm_head only",
      hint: "use --for peft or --for trl",
      is: (source) => copies(source).some(({ key }) => !/\.(embed_tokens|lm_head)\.(weight|bias)$/.test(key)),
    },
  ],
  axolotl: [
    MUTATED_BASE,
    ACTIVATED,
    {
      feature: "groups",
      why: "Axolotl has one rate for full copies (embedding_lr) and one for all other tensors here, and LoRA on embed_tokens or lm_head gets that of the copies; the adapter has more",
      hint: "use --for peft or --for trl",
      is: (source) => axolotlRates(source, false).size > 1 || axolotlRates(source, true).size > 1,
    },
    {
      feature: "learningRate",
      why: "Axolotl takes an embedding_lr of 0 for none and trains full copies at the LoRA matrices' rate; the adapter has them at 0",
      hint: "use --for peft or --for trl",
      is: (source) => axolotlRates(source, true).has(0),
    },
    {
      feature: "weightDecay",
      why: "with embedding_lr Axolotl trains full copies without weight decay; the adapter's groups have some",
      hint: "use --for peft or --for trl",
      is: (source) => source.groups.some(({ name, weightDecay }) => weightDecay > 0 && copies(source).some(({ group }) => group === name)),
    },
    {
      feature: "resume",
      why: "Axolotl builds its optimizer groups itself, which do not fit those of this checkpoint",
      hint: "use --for trl, or name an adapter without trainer state",
      is: (source) =>
        source.resume !== null && source.groups.some(({ name }) => name !== "decay" && name !== "no_decay" && name !== "no decay"),
    },
  ],
  "llama-factory": [
    MUTATED_BASE,
    ACTIVATED,
    {
      feature: "groups",
      why: "LlamaFactory trains everything at one rate (LoRA+ apart); the adapter has several",
      hint: "use --for peft or --for trl",
      is: (source) => new Set(source.groups.map(({ learningRate }) => learningRate)).size > 1,
    },
    {
      feature: "weightDecay",
      why: "LlamaFactory has one weight decay; the adapter's groups have several",
      hint: "use --for peft or --for trl",
      is: (source) => new Set(source.groups.map(({ weightDecay }) => weightDecay)).size > 1,
    },
  ],
};

/** Refuses, all at once and by name, what the tool cannot express. @throws RECIPE_UNSUPPORTED */
export function refuseInexpressible(source: RecipeSource, tool: RecipeTool): void {
  const problems = new ProblemList();
  for (const { feature, why, hint, is } of REFUSALS[tool]) {
    if (is(source)) problems.add("RECIPE_UNSUPPORTED", why, { where: `${tool}: ${feature}`, hint, details: { tool, feature } });
  }
  problems.throwIfAny();
}
