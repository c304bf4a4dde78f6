// What an adapter can be that no weights of a plain model can hold: the one place that says so.
import type { AdapterSpec, ResolvedAdapter } from "../../adapter/index.ts";
import { ProblemList } from "../../core/index.ts";
import type { ParameterSpec } from "../../model/index.ts";

/** Initializations that subtract what they put into the adapter from the base (PEFT, LoraConfig.init_lora_weights). */
export const CHANGES_BASE = /^(?:pissa(?:_niter_\d+)?|olora|corda|loftq|lora_ga)$/i;

/** @throws ADAPTER_UNSUPPORTED with everything that stands in the way */
export function refuseUnmergeable(adapter: AdapterSpec, resolved: ResolvedAdapter, parameters: readonly ParameterSpec[]): void {
  const problems = new ProblemList();
  const refuse = (key: string, value: unknown, why: string, hint: string): void =>
    problems.add("ADAPTER_UNSUPPORTED", `${key}: ${JSON.stringify(value)}: ${why}`, { hint, details: { feature: key, value } });
  const { aloraInvocationTokens, initLoraWeights, taskType } = adapter;
  if (aloraInvocationTokens !== null) {
    const why = "an activated LoRA works from some token on, and merged weights work always";
    refuse("alora_invocation_tokens", aloraInvocationTokens, why, "use it as an adapter");
  }
  if (typeof initLoraWeights === "string" && CHANGES_BASE.test(initLoraWeights)) {
    const hint = "convert it first, in PEFT: save_pretrained with path_initial_model_for_weight_conversion";
    refuse("init_lora_weights", initLoraWeights, "the adapter belongs to changed base weights, not to the base", hint);
  }
  if (taskType !== null && taskType !== "CAUSAL_LM") {
    refuse("task_type", taskType, "only causal language models are merged", "merge it in PEFT with the model class of its task");
  }
  const embedding = resolved.extras.magnitude ? resolved.lora.find(({ kind }) => kind === "Embedding") : undefined;
  if (embedding !== undefined) {
    refuse("use_dora", true, `DoRA on the embedding "${embedding.module}" is not merged`, "merge it in PEFT");
  }
  const biased = new Set(parameters.filter(({ kind }) => kind === "bias").map(({ module }) => module));
  const bare = resolved.extras.loraBias === null ? undefined : resolved.lora.find(({ module }) => !biased.has(module));
  if (bare !== undefined) {
    const why = `"${bare.module}" has no bias in the base that the adapter's could be added to (PEFT refuses it too)`;
    refuse("lora_bias", true, why, "use it as an adapter");
  }
  problems.throwIfAny();
}
