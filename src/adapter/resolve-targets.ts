import { HeirloomError, ProblemList } from "../core/index.ts";
import {
  containerModules,
  INPUT_EMBEDDING,
  type ModelSpec,
  type ModuleSpec,
  modelModules,
  OUTPUT_EMBEDDING,
  statelessModules,
} from "../model/index.ts";
import { effectiveModulesToSave, liesInCopy, resolveFullCopies } from "./full-copies.ts";
import { moduleScales } from "./module-patterns.ts";
import { resolveStoredBase } from "./stored-base.ts";
import { TargetMatcher } from "./target-matcher.ts";
import { effectiveTargets, storesEmbeddings, targetsAllLinear, tiesTargets } from "./tied-targets.ts";
import { resolveTokenRows } from "./token-rows.ts";
import type { AdapterSpec, FullCopy, LoraTarget, ResolvedAdapter, TokenRows } from "./types.ts";

/**
 * Finds the modules of a model that an adapter touches, exactly as PEFT does:
 * exclusions first, then what lies under a `modulesToSave` name, then the targets.
 * Unlike PEFT, a target, saved module or layer that matches nothing is an error.
 *
 * @throws ADAPTER_TARGET_MISSING naming each entry that matches nothing, with near names
 * @throws ADAPTER_UNSUPPORTED for what PEFT cannot do either: LoRA on a norm or a block, or two treatments of one module
 * @throws ADAPTER_RANK_INVALID, ADAPTER_PATTERN_UNSUPPORTED, CONFIG_INVALID, PEFT_CONFIG_INVALID
 */
export function resolveTargets(spec: ModelSpec, adapter: AdapterSpec): ResolvedAdapter {
  if (!Number.isInteger(adapter.rank) || adapter.rank < 1) {
    throw new HeirloomError("ADAPTER_RANK_INVALID", `the rank must be a whole number of at least 1, found ${adapter.rank}`);
  }
  const problems = new ProblemList();
  if (typeof adapter.targetModules === "string" && !targetsAllLinear(adapter) && adapter.layersToTransform !== null) {
    problems.add("CONFIG_INVALID", "layers cannot be chosen beside targets that are a pattern (PEFT refuses it too)", {
      hint: "put the layer numbers into the pattern",
    });
  }
  const modules = modelModules(spec);
  const fullCopies = resolveFullCopies(spec, adapter, problems);
  const tokenRows = resolveTokenRows(spec, adapter, problems);
  const targetModules = effectiveTargets(spec, adapter);
  const matcher = new TargetMatcher({ ...adapter, targetModules, modulesToSave: effectiveModulesToSave(spec, adapter) }, modules);
  const ties = tiesTargets(spec, adapter);
  const found = modules.filter((module) => (ties && module.path === OUTPUT_EMBEDDING) || matcher.matches(module));
  const blocks = [...containerModules(spec), ...statelessModules(spec)].filter((path) =>
    matcher.matches({ path, kind: "block", layer: layerOf(path) }),
  );
  refuseTargets(found, blocks, { fullCopies, tokenRows, loraBias: adapter.loraBias }, problems);
  const lora = found.length === 0 ? [] : loraTargets(found, adapter, ties);
  matcher.reportMissing(problems, spec, lora.length, blocks);
  problems.throwIfAny();
  return {
    lora,
    fullCopies,
    tokenRows,
    storedBase: resolveStoredBase(spec, adapter, { lora, fullCopies, embeddings: storesEmbeddings(adapter, targetModules) }),
    extras: {
      magnitude: adapter.useDora,
      loraBias: adapter.loraBias ? (adapter.bias === "all" ? "bias" : "lora_bias") : null,
      repeatsBiases: adapter.bias === "all",
      frozenB: adapter.initLoraWeights === "mica",
    },
    moduleOrder: modules.map(({ path }) => path),
  };
}

/** The pairs of matrices, with the rank and scaling of each. */
function loraTargets(found: readonly ModuleSpec[], adapter: AdapterSpec, ties: boolean): LoraTarget[] {
  const scaleOf = moduleScales(adapter);
  return found.map(({ path, kind, shape, layer }): LoraTarget => {
    const [rows, columns] = shape as readonly [number, number]; // anything without two dimensions is refused
    const isEmbedding = kind === "Embedding";
    const own = scaleOf(path);
    return {
      module: path,
      kind: isEmbedding ? "Embedding" : "Linear",
      inFeatures: isEmbedding ? rows : columns,
      outFeatures: isEmbedding ? columns : rows,
      ...own,
      // A tied head gets the embedding's matrices, whatever rank a pattern gives it; its scaling is its own.
      rank: ties && path === OUTPUT_EMBEDDING ? scaleOf(INPUT_EMBEDDING).rank : own.rank,
      layer,
    };
  });
}

/** The layer number that PEFT reads off a path: one with a part after it. */
function layerOf(path: string): number | null {
  const found = /\.(\d+)\./.exec(path);
  return found === null ? null : Number(found[1]);
}

/** Notes the matched modules that cannot take LoRA matrices, all of which PEFT refuses too. */
function refuseTargets(
  found: readonly ModuleSpec[],
  blocks: readonly string[],
  others: { readonly fullCopies: readonly FullCopy[]; readonly tokenRows: readonly TokenRows[]; readonly loraBias: boolean },
  problems: ProblemList,
): void {
  const refuse = (message: string, module: string, feature: string, hint: string) =>
    problems.add("ADAPTER_UNSUPPORTED", message, { hint, details: { feature, module } });
  for (const { path, kind } of found) {
    if (kind === "RMSNorm") {
      refuse(
        `LoRA on a module of type ${kind} is not supported: the targets match "${path}"`,
        path,
        "target_modules",
        "leave it out of the targets",
      );
    } else if (liesInCopy(path, others.fullCopies)) {
      refuse(`"${path}" is both a LoRA target and a full copy`, path, "modules_to_save", "name it in one of the two");
    } else if (others.tokenRows.some(({ module }) => module === path)) {
      refuse(`"${path}" is both a LoRA target and has trainable tokens`, path, "trainable_token_indices", "name it in one of the two");
    } else if (kind === "Embedding" && others.loraBias) {
      refuse(`lora_bias cannot go with LoRA on the embedding "${path}"`, path, "lora_bias", "leave the embedding out of the targets");
    }
  }
  for (const { module } of others.tokenRows) {
    if (liesInCopy(module, others.fullCopies))
      refuse(`"${module}" is both a full copy and has trainable tokens`, module, "trainable_token_indices", "name it in one of the two");
  }
  if (blocks[0] === undefined) return;
  const more = blocks.length === 1 ? "" : ` and ${blocks.length - 1} more like it`;
  refuse(
    `the targets match "${blocks[0]}"${more}, which is no linear module (PEFT refuses it too)`,
    blocks[0],
    "target_modules",
    'end the pattern in the names of linear modules, as in ".*(q_proj|v_proj)"',
  );
}
