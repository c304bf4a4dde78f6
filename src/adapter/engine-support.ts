// What the engine computes of what an adapter can be: the one place that says so.
import { ProblemList } from "../core/index.ts";
import type { PeftConfig } from "../formats/index.ts";
import type { ModelSpec } from "../model/index.ts";
import { describeLora, otherTypeError, refuseFeature } from "./from-peft.ts";
import { EMBEDDING_NAMES, lastPart } from "./names.ts";
import { resolveTargets } from "./resolve-targets.ts";
import type { AdapterSpec, ResolvedAdapter } from "./types.ts";

/** Initializations whose matrices go with the base as it is; the others were made from it, or leave B untrained. */
const PLAIN_INITS: readonly unknown[] = [true, false, "gaussian"];

/** Features that the graphs do not have: the key that turns one on, its name, and when it is on, whatever the base is. */
const REFUSED: readonly (readonly [key: string, feature: string, on: (adapter: AdapterSpec) => boolean, value: keyof AdapterSpec])[] = [
  ["use_dora", "DoRA", (a) => a.useDora, "useDora"],
  ["lora_bias", "a bias on lora_B", (a) => a.loraBias, "loraBias"],
  ["trainable_token_indices", "trainable tokens", (a) => a.trainableTokenIndices !== null, "trainableTokenIndices"],
  ["alora_invocation_tokens", "activated LoRA", (a) => a.aloraInvocationTokens !== null, "aloraInvocationTokens"],
  // The sequence classification and other heads are trained beside the adapter, without being named in it.
  ["task_type", "a task other than CAUSAL_LM", (a) => a.taskType !== null && a.taskType !== "CAUSAL_LM", "taskType"],
  // PiSSA, OLoRA, CorDA, LoftQ and LoRA-GA change the base weights as well; the adapter is wrong on the plain base.
  [
    "init_lora_weights",
    "an initialization that is tied to changed base weights",
    (a) => !PLAIN_INITS.includes(a.initLoraWeights),
    "initLoraWeights",
  ],
];

function refuseFeatures(adapter: AdapterSpec, problems: ProblemList): void {
  for (const [key, feature, on, value] of REFUSED) if (on(adapter)) refuseFeature(problems, feature, key, adapter[value]);
  const names = Array.isArray(adapter.targetModules) ? (adapter.targetModules as readonly string[]) : [];
  for (const name of names.filter((target) => EMBEDDING_NAMES.includes(lastPart(target))))
    refuseFeature(problems, "LoRA on an embedding", "target_modules", name);
}

/**
 * {@link adapterFromPeft} for an adapter that is to be run or trained: refuses, all at once and by name, whatever
 * would have to be left out. What depends on the base is refused by {@link resolveForEngine}.
 *
 * @throws ADAPTER_UNSUPPORTED, ADAPTER_RANK_INVALID, PEFT_CONFIG_INVALID
 */
export function adapterForEngine(config: PeftConfig): AdapterSpec {
  if (config.kind === "other") throw otherTypeError(config);
  const problems = new ProblemList();
  const adapter = describeLora(config, problems, (described) => refuseFeatures(described, problems));
  problems.throwIfAny();
  return adapter;
}

/**
 * {@link resolveTargets} for an adapter that is to be run or trained. A feature that is on but has nothing to do on
 * this base (`bias: all` on one without biases) is none.
 *
 * @throws what {@link resolveTargets} throws; ADAPTER_UNSUPPORTED
 */
export function resolveForEngine(spec: ModelSpec, adapter: AdapterSpec): ResolvedAdapter {
  const resolved = resolveTargets(spec, adapter);
  const problems = new ProblemList();
  refuseFeatures(adapter, problems);
  const named = problems.problems.length > 0;
  for (const { module } of resolved.lora) {
    if (named || !EMBEDDING_NAMES.includes(lastPart(module))) continue;
    problems.add("ADAPTER_UNSUPPORTED", `LoRA on an embedding is not supported: the targets match "${module}"`, {
      hint: "leave it out of the targets; list it under modulesToSave to train it in full",
      details: { feature: "lora_embedding", module },
    });
  }
  const [bias] = resolved.storedBase.filter(({ trained }) => trained);
  if (bias !== undefined) {
    problems.add("ADAPTER_UNSUPPORTED", `trained biases (bias: "${adapter.bias}") are not supported: the base has ${bias.parameter}`, {
      details: { feature: "bias", value: adapter.bias },
    });
  }
  problems.throwIfAny();
  return resolved;
}
