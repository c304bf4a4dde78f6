import type { Rule } from "../types.ts";
import { bannerContradicts } from "./banner-contradicts.ts";
import { baseLayerInside } from "./base-layer-inside.ts";
import { baseNotAsRecorded } from "./base-not-as-recorded.ts";
import { baseQuantization } from "./base-quantization.ts";
import { configChanged } from "./config-changed.ts";
import { copyIdenticalToBase } from "./copy-identical-to-base.ts";
import { copyMissing } from "./copy-missing.ts";
import { copyNotDeclared } from "./copy-not-declared.ts";
import { copyOfQuantizedLinear } from "./copy-of-quantized-linear.ts";
import { doubleWrapping } from "./double-wrapping.ts";
import { dtypeDrift } from "./dtype-drift.ts";
import { dtypeNotAsRecorded } from "./dtype-not-as-recorded.ts";
import { earlierShapesDiffer } from "./earlier-shapes-differ.ts";
import { extraTensors } from "./extra-tensors.ts";
import { finalStateMissing } from "./final-state-missing.ts";
import { frozen } from "./frozen.ts";
import { initChangesBase } from "./init-changes-base.ts";
import { keyPrefix } from "./key-prefix.ts";
import { loaderRejects } from "./loader-rejects.ts";
import { loraBZero } from "./lora-b-zero.ts";
import { mergeEqualsBase } from "./merge-equals-base.ts";
import { missingTensors } from "./missing-tensors.ts";
import { mixedDtypes } from "./mixed-dtypes.ts";
import { modelTensorsMissing } from "./model-tensors-missing.ts";
import { notFinite } from "./not-finite.ts";
import { optimizerEmpty } from "./optimizer-empty.ts";
import { optimizerSetDiffers } from "./optimizer-set-differs.ts";
import { optimizerShapesDiffer } from "./optimizer-shapes-differ.ts";
import { pairIncomplete } from "./pair-incomplete.ts";
import { patternUnused } from "./pattern-unused.ts";
import { peftReleaseLacks } from "./peft-release-lacks.ts";
import { rankMismatch } from "./rank-mismatch.ts";
import { resumeStateMissing } from "./resume-state-missing.ts";
import { scalingChanged } from "./scaling-changed.ts";
import { scheduleMismatch } from "./schedule-mismatch.ts";
import { shapeMismatch } from "./shape-mismatch.ts";
import { targetWithoutTensors } from "./target-without-tensors.ts";
import { tiedCopiesDiffer } from "./tied-copies-differ.ts";
import { tiedEmbeddingsUntied } from "./tied-embeddings-untied.ts";
import { tokenizerRows } from "./tokenizer-rows.ts";
import { unknownConfigKeys } from "./unknown-config-keys.ts";
import { unknownModules } from "./unknown-modules.ts";
import { updatesRoundedAway } from "./updates-rounded-away.ts";
import { vocabularyRows } from "./vocabulary-rows.ts";

/** Every rule by its id, in the order of the reports: what is trained, then what evidence says, then form. */
export const RULES = {
  "missing-tensors": missingTensors,
  "extra-tensors": extraTensors,
  "unknown-modules": unknownModules,
  "shape-mismatch": shapeMismatch,
  "pair-incomplete": pairIncomplete,
  "target-without-tensors": targetWithoutTensors,
  "copy-not-declared": copyNotDeclared,
  "copy-missing": copyMissing,
  "copy-identical-to-base": copyIdenticalToBase,
  "final-state-missing": finalStateMissing,
  "earlier-shapes-differ": earlierShapesDiffer,
  frozen,
  "updates-rounded-away": updatesRoundedAway,
  "lora-b-zero": loraBZero,
  "not-finite": notFinite,
  "optimizer-empty": optimizerEmpty,
  "optimizer-set-differs": optimizerSetDiffers,
  "optimizer-shapes-differ": optimizerShapesDiffer,
  "banner-contradicts": bannerContradicts,
  "tied-embeddings-untied": tiedEmbeddingsUntied,
  "tied-copies-differ": tiedCopiesDiffer,
  "vocabulary-rows": vocabularyRows,
  "tokenizer-rows": tokenizerRows,
  "key-prefix": keyPrefix,
  "double-wrapping": doubleWrapping,
  "base-layer-inside": baseLayerInside,
  "rank-mismatch": rankMismatch,
  "pattern-unused": patternUnused,
  "scaling-changed": scalingChanged,
  "config-changed": configChanged,
  "dtype-drift": dtypeDrift,
  "dtype-not-as-recorded": dtypeNotAsRecorded,
  "mixed-dtypes": mixedDtypes,
  "base-not-as-recorded": baseNotAsRecorded,
  "base-quantization": baseQuantization,
  "copy-of-quantized-linear": copyOfQuantizedLinear,
  "init-changes-base": initChangesBase,
  "unknown-config-keys": unknownConfigKeys,
  "peft-release-lacks": peftReleaseLacks,
  "schedule-mismatch": scheduleMismatch,
  "resume-state-missing": resumeStateMissing,
  "loader-rejects": loaderRejects,
  "model-tensors-missing": modelTensorsMissing,
  "merge-equals-base": mergeEqualsBase,
} as const satisfies Record<string, Rule>;

/** The id of a rule. */
export type RuleId = keyof typeof RULES;

/** All rules, in the same order. */
export const ALL_RULES: readonly Rule[] = Object.values(RULES);
