import { type AdapterSpec, adapterTensors, resolveForEngine } from "../adapter/index.ts";
import {
  CHANGE_NAMES,
  type ChangeName,
  type Changes,
  changeFlags,
  changeKey,
  type FlagValue,
  type ResolvedConfig,
  type RunConfig,
  resolveConfig,
} from "../config/index.ts";
import { HeirloomError, isHeirloomError, ProblemList } from "../core/index.ts";
import { requireGrowth } from "../engine/index.ts";
import { locateModel, openAdapterFolder, openModelFolder } from "../folders/index.ts";
import { adapterFromConfig } from "../ledger/index.ts";
import type { ModelSpec } from "../model/index.ts";
import type { ContinueRequest } from "./api.ts";
import { inheritedValues, type Values } from "./inherited.ts";
import { requireRecordedTensors } from "./recorded-tensors.ts";
import { requireKeptScaling, requireRecordedScaling, sameScales } from "./scales.ts";

/** A continuation with nothing left open. */
export interface ResolvedContinuation extends ResolvedConfig {
  /** Folder of the adapter itself. */
  readonly adapter: string;
  readonly assumptions: readonly string[];
}

function sameValue(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

function at(values: unknown, path: string): unknown {
  return path
    .split(".")
    .reduce<unknown>((value, key) => (typeof value === "object" && value !== null ? (value as Values)[key] : undefined), values);
}

/** Settings that choose tensors in words; other words for the same tensors are no change. */
const WORDED = ["targetModules", "excludeModules", "layers", "modulesToSave"] as const satisfies readonly ChangeName[];
/** All settings that choose tensors. */
const SELECTIONS: readonly ChangeName[] = [...WORDED, "ensureWeightTying"];
/** Settings that are compared as they are. `base` is compared by its content later. */
const SETTINGS: readonly ChangeName[] = ["rank", "alpha", "rslora", "dropout", "fullCopyDtype", "quantization", "groups"];
/** Settings that give modules ranks and alphas of their own; other words for the same numbers are no change. */
const PATTERNS: readonly ChangeName[] = ["rankPattern", "alphaPattern"];

function selectsSame(spec: ModelSpec, before: AdapterSpec, after: AdapterSpec): boolean {
  const tensors = (adapter: AdapterSpec): string =>
    adapterTensors(resolveForEngine(spec, adapter))
      .map(({ name, aliasOf }) => `${name}=${aliasOf ?? ""}`)
      .join();
  return tensors(before) === tensors({ ...after, rank: before.rank });
}

/** What {@link WORDED} settings are called in an adapter's description. */
const SPEC_KEYS = {
  targetModules: "targetModules",
  excludeModules: "excludeModules",
  layers: "layersToTransform",
  modulesToSave: "modulesToSave",
} as const satisfies Record<(typeof WORDED)[number], keyof AdapterSpec>;

/** Whether one setting, with all else as it is, means the same tensors in other words. */
function inOtherWords(spec: ModelSpec, before: AdapterSpec, name: ChangeName, value: unknown): boolean {
  const worded = WORDED.find((candidate) => candidate === name);
  if (worded === undefined) return false;
  try {
    return selectsSame(spec, before, { ...before, [SPEC_KEYS[worded]]: value });
  } catch (error) {
    if (isHeirloomError(error)) return false; // it goes with other changes only
    throw error;
  }
}

/** The settings that choose tensors and say something else, not the same in other words, each looked at by itself. */
export function changedSelections(spec: ModelSpec, before: AdapterSpec, after: AdapterSpec): readonly ChangeName[] {
  if (selectsSame(spec, before, after)) return [];
  const same = WORDED.filter((name) => inOtherWords(spec, before, name, after[SPEC_KEYS[name]]));
  const changed = SELECTIONS.filter((name) => !same.some((worded) => worded === name));
  // Where each means the same by itself, they differ together.
  return changed.some((name) => name !== "ensureWeightTying") || before.ensureWeightTying !== after.ensureWeightTying
    ? changed
    : SELECTIONS;
}

/** Everything in which the resolved configuration differs from what is inherited, without being named. */
export function unnamedChanges(
  inherited: Values,
  config: RunConfig,
  named: ReadonlySet<ChangeName>,
  changed: { readonly selections: readonly ChangeName[]; readonly scales: boolean },
): ProblemList {
  const problems = new ProblemList();
  const names = [...SETTINGS, ...(changed.scales ? PATTERNS : []), ...changed.selections];
  for (const name of names) {
    const expected = at(inherited, changeKey(name));
    const found = at(config, changeKey(name));
    // A setting that nothing is known of was listed among the assumptions.
    if (named.has(name) || expected === undefined || sameValue(normal(expected), normal(found))) continue;
    problems.add("CONTINUE_CHANGED", `expected ${JSON.stringify(expected)} as in the adapter, found ${JSON.stringify(found)}`, {
      where: changeKey(name),
      hint: `leave it out to inherit it, or say that it is meant: --change ${name}`,
      details: { setting: changeKey(name), expected, found },
    });
  }
  if (changed.selections.length > 0 && problems.problems.length === 0 && !SELECTIONS.some((name) => named.has(name))) {
    problems.add("CONTINUE_CHANGED", "expected the adapter's own tensors, found others: its layers_pattern has no key in a run file", {
      where: "adapter.layers",
      hint: "list the modules by their full names: --change targetModules",
    });
  }
  return problems;
}

/** `none` and null mean the same quantization; a group without a rate of its own may leave the key out. */
function normal(value: unknown): unknown {
  return value === "none" ? null : value;
}

/**
 * With a new rank, alpha follows so that the scaling stays, and with it what the
 * adapter computes: whether the rank stands in the change or in the file, unless
 * an alpha is given as well.
 */
function followingAlpha({ config, provenance }: ResolvedConfig, spec: AdapterSpec, changes: Changes): FlagValue | null {
  const rank = config.adapter?.rank ?? spec.rank;
  if (!changes.named.has("rank") || rank === spec.rank) return null;
  requireGrowth(spec.rank, rank);
  if (changes.named.has("alpha") || provenance["adapter.alpha"] !== "inherited") return null;
  const growth = spec.useRslora ? Math.sqrt(rank / spec.rank) : rank / spec.rank;
  return { key: "adapter.alpha", value: spec.alpha * growth, flag: "--change rank" };
}

/** What a preset would have made of the adapter, and was not asked to. */
function displacedNotes(spec: ModelSpec, before: AdapterSpec, { displaced }: ResolvedConfig): string[] {
  const settings = Object.entries(displaced).flatMap(([key, value]) => {
    const name = CHANGE_NAMES.find((candidate) => changeKey(candidate) === key);
    return name !== undefined && inOtherWords(spec, before, name, value) ? [] : [`${key} ${JSON.stringify(value)}`];
  });
  if (settings.length === 0) return [];
  return [
    `the preset's settings of the adapter give way to the adapter's own: ${settings.join(", ")} not used; --change NAME takes a preset's value`,
  ];
}

/** The new run's configuration, and everything in which it may differ from what is inherited. */
function resolveSources(
  { sources, changes }: ContinueRequest,
  spec: AdapterSpec,
  inherited: NonNullable<ContinueRequest["sources"]["inherited"]>,
): { resolved: ResolvedConfig; named: ReadonlySet<ChangeName> } {
  const flags = [...(sources.flags ?? []), ...changeFlags(changes)];
  const resolved = resolveConfig({ ...sources, flags, inherited });
  const alpha = followingAlpha(resolved, spec, changes);
  if (alpha === null) return { resolved, named: changes.named };
  return { resolved: resolveConfig({ ...sources, flags: [...flags, alpha], inherited }), named: new Set([...changes.named, "alpha"]) };
}

/**
 * Works out what continuing an adapter means, and refuses every difference that
 * no change names, all at once.
 *
 * @throws CONTINUE_CHANGED, CONTINUE_CHANGE_INVALID, and what reading adapter and configuration throws
 */
export async function resolveContinuation(request: ContinueRequest): Promise<ResolvedContinuation> {
  const located = await locateModel(request.adapter);
  if (located.kind === "model") {
    throw new HeirloomError("CONTINUE_CHANGE_INVALID", "expected an adapter, found a model", {
      where: request.adapter,
      hint: "train a new adapter on it: heirloom train --base …",
    });
  }
  const opened = await openAdapterFolder(located.path);
  try {
    const { values, assumptions } = inheritedValues(opened);
    const own = CHANGE_NAMES.filter((name) => !request.changes.named.has(name)).map(changeKey);
    const { resolved, named } = resolveSources(request, opened.spec, { name: located.path, values, own: [...own, "adapter.init"] });
    const { config } = resolved;
    if (config.adapter === null)
      throw new HeirloomError("CONTINUE_CHANGED", "expected an adapter to continue, found adapter: none", { where: "adapter" });
    const model = await openModelFolder(config.base);
    await model.folder.close();
    requireRecordedTensors(model.spec, opened);
    requireRecordedScaling(model.spec, opened);
    const wanted = adapterFromConfig(config.adapter, config.base);
    const changed = {
      selections: changedSelections(model.spec, opened.spec, wanted),
      scales: !sameScales(model.spec, opened.spec, wanted),
    };
    unnamedChanges(values, config, named, changed).throwIfAny();
    requireKeptScaling(model.spec, opened.spec, wanted, request.changes.named);
    return { ...resolved, adapter: located.path, assumptions: [...assumptions, ...displacedNotes(model.spec, opened.spec, resolved)] };
  } finally {
    await opened.folder.close();
  }
}
