import type { ProblemList } from "../../core/index.ts";
import { listNames } from "../../core/index.ts";
import { type SavedGroup, type SavedOptimizer, TRAINER_FILES, updatesOf } from "../../formats/index.ts";
import { type LedgerEntry, matchesTensor, recoverOptimizer } from "../../ledger/index.ts";
import type { TrainerCheckpoint } from "./files.ts";

/** A learning-rate group as another trainer's optimizer had it. */
export interface ForeignGroup {
  readonly name: string;
  /** Rate that the schedule multiplies. */
  readonly peak: number;
  /** Rate of the next update. */
  readonly next: number | null;
  readonly weightDecay: number;
  /** Live names. */
  readonly tensors: readonly string[];
}

/** Another trainer's AdamW, by the names of its tensors. */
export interface ForeignOptimizer {
  /** Who builds groups like these: `trainer`, `unsloth`, `lora+`, `plain`. */
  readonly order: string;
  /** Live name at each index. */
  readonly parameters: readonly string[];
  /** Those that hold a tensor, in their order. */
  readonly groups: readonly ForeignGroup[];
  readonly betas: readonly [number, number];
  readonly epsilon: number;
  /** Updates that it has made. */
  readonly updates: number;
}

/** What an optimizer keeps of a parameter tells its algorithm; the first key that is there decides. */
const ALGORITHMS: readonly (readonly [key: string, name: string])[] = [
  ["max_exp_avg_sq", "AMSGrad"],
  ["mu_product", "NAdam"],
  ["exp_inf", "Adamax"],
  ["exp_avg_sq_row", "Adafactor"],
  ["exp_avg_sq_col", "Adafactor"],
  ["momentum_buffer", "SGD"],
  ["square_avg", "RMSprop"],
  ["state1", "bitsandbytes' optimizer"],
];

/** The algorithm that a state is of; null if it is torch's AdamW. */
function otherAlgorithm({ groups, state, shared: ofNoParameter }: SavedOptimizer): string | null {
  const kept = [...state.values()].map(({ tensors }) => tensors);
  if (kept.some((own) => own.get("state1")?.dtype === "U8")) return "bitsandbytes' 8-bit optimizer";
  for (const [key, name] of ALGORITHMS) if (kept.some((own) => own.has(key))) return name;
  if (kept.some((own) => own.has("exp_avg") && !own.has("exp_avg_sq"))) return "Lion";
  if (kept.some((own) => !own.has("exp_avg")) || ofNoParameter.length > 0) return "an optimizer that is not known";
  const options = groups.map((group) => group.options);
  if (options.some((group) => group.get("amsgrad") === true)) return "AMSGrad";
  // transformers' own AdamW of old and apex' have other arithmetic and other options.
  if (options.some((group) => !group.has("amsgrad"))) return "an Adam that is not torch's";
  if (options.some((group) => group.get("maximize") === true)) return "an AdamW that maximizes";
  const isCoupled = groups.some(({ weightDecay, options: own }) => own.get("decoupled_weight_decay") === false && weightDecay !== 0);
  return isCoupled ? "Adam with weight decay in the gradient" : null;
}

/** Name of what is trained by its optimizer's argument, where that tells more. */
function argumentOf({ arguments: args }: TrainerCheckpoint): string {
  const optim = args?.get("optim");
  return typeof optim === "string" ? ` (optim ${JSON.stringify(optim)})` : "";
}

/** The one value that all groups share; null after a problem was noted. */
function shared<T>(values: readonly (T | null)[], what: string, where: string, hint: string, problems: ProblemList): T | null {
  const [first] = values;
  if (first === undefined || first === null || values.some((value) => JSON.stringify(value) !== JSON.stringify(first))) {
    const found = [...new Set(values.map((value) => JSON.stringify(value)))].join(", ");
    problems.add("HANDOVER_UNSUPPORTED", `expected one ${what} for all groups, found ${found}`, { where, hint });
    return null;
  }
  return first;
}

/** The groups that hold a tensor, with what is needed of each. */
function groupsOf(
  stored: readonly SavedGroup[],
  recovered: { readonly groupNames: readonly string[]; readonly groups: readonly (readonly string[])[] },
): ForeignGroup[] | null {
  const groups = stored.map(({ peak, learningRate, weightDecay }, g) => ({
    name: recovered.groupNames[g] ?? `group ${g}`,
    peak,
    next: learningRate,
    weightDecay,
    tensors: recovered.groups[g] ?? [],
  }));
  const used = groups.filter(({ tensors }) => tensors.length > 0);
  return used.every((group): group is ForeignGroup => group.peak !== null && group.weightDecay !== null) ? used : null;
}

/** Collects why an optimizer cannot be gone on with. */
class Judge {
  readonly #problems: ProblemList;
  readonly #where: string;
  readonly #hint: string;

  constructor(path: string, problems: ProblemList, hint: string) {
    this.#where = `${path}/${TRAINER_FILES.optimizer}`;
    this.#problems = problems;
    this.#hint = hint;
  }

  refuse(message: string): null {
    this.#problems.add("HANDOVER_UNSUPPORTED", message, { where: this.#where, hint: this.#hint });
    return null;
  }

  shared<T>(values: readonly (T | null)[], what: string): T | null {
    return shared(values, what, this.#where, this.#hint, this.#problems);
  }
}

/** Names that the optimizer holds or should hold, and why they do not fit; null if all fit. */
function misfit(leftOut: readonly string[], withoutState: readonly string[]): string | null {
  const list = (names: readonly string[]): string => listNames(names, 3);
  if (leftOut.length > 0) return `the run did not train ${list(leftOut)}: they were frozen, and would be trained from here on`;
  if (withoutState.length > 0) return `the optimizer has never updated ${list(withoutState)}, and each tensor counts its own updates there`;
  return null;
}

/**
 * Finds out what another trainer's optimizer is and which tensors its indices mean.
 * Everything that stands in the way is noted, and null is given.
 *
 * @param entries the tensors that are to be trained, in `named_parameters()` order
 * @param hint the other way on
 */
export function foreignOptimizer(
  checkpoint: TrainerCheckpoint,
  entries: readonly LedgerEntry[],
  problems: ProblemList,
  hint: string,
): ForeignOptimizer | null {
  const { optimizer, path } = checkpoint;
  if (optimizer === null) return null;
  const judge = new Judge(path, problems, hint);
  const algorithm = otherAlgorithm(optimizer);
  if (algorithm !== null) return judge.refuse(`expected the state of torch's AdamW, found that of ${algorithm}${argumentOf(checkpoint)}`);
  const shapes = optimizer.groups.map(({ indices }) => indices.map((index) => optimizer.state.get(index)?.shape ?? null));
  const recovered = recoverOptimizer(entries, shapes);
  if (recovered.kind === "unknown") return judge.refuse(`its indices cannot be matched with tensors: ${recovered.reason}`);
  if (recovered.kind === "conflict") {
    const { index, name, expected, found } = recovered.conflict;
    return judge.refuse(`index ${index} has the shape [${found.join(", ")}], and ${name}, whose turn it is, [${expected.join(", ")}]`);
  }
  const parameters: string[] = [];
  for (const [g, { indices }] of optimizer.groups.entries()) {
    for (const [i, index] of indices.entries()) parameters[index] = recovered.groups[g]?.[i] ?? "";
  }
  const started = optimizer.state.size > 0;
  const withoutState = started ? parameters.filter((_, index) => !optimizer.state.has(index)) : [];
  const fault = misfit(recovered.leftOut, withoutState);
  if (fault !== null) return judge.refuse(fault);
  const uncounted = [...optimizer.state].find(([, { updates }]) => updates === null);
  if (uncounted !== undefined) return judge.refuse(`index ${uncounted[0]} has no step: how often it was updated is not known`);
  const updates = updatesOf(optimizer);
  if (updates.length > 1) return judge.refuse(`its tensors have had different numbers of updates: ${updates.join(", ")}`);
  const groups = groupsOf(optimizer.groups, recovered);
  if (groups === null) return judge.refuse("a group lacks its initial_lr or its weight_decay");
  const used = optimizer.groups.filter(({ indices }) => indices.length > 0);
  const betas = judge.shared(
    used.map((group) => group.betas),
    "pair of betas",
  );
  const epsilon = judge.shared(
    used.map((group) => group.epsilon),
    "eps",
  );
  if (betas === null || epsilon === null) return null;
  return { order: recovered.order, parameters, groups, betas, epsilon, updates: updates[0] ?? 0 };
}

/** What a group may be called and how run.yaml may say which tensors are in it; the first way that fits is taken. */
function waysToSay(tensors: readonly string[]): (readonly string[])[] {
  const parts = (name: string): string[] => name.split(".");
  const copies = tensors.map((name) => /([^.]+)\.modules_to_save\./.exec(name)?.[1]);
  const kinds = tensors.map((name) => /\.(lora_[AB]|lora_embedding_[AB])\./.exec(name)?.[1]);
  const all = (names: readonly (string | undefined)[]): names is readonly string[] => names.every((name) => name !== undefined);
  return [
    ...(all(copies) ? [[...new Set(copies)]] : []),
    ...(all(kinds) ? [[...new Set(kinds)].map((kind) => `*.${kind}*`)] : []),
    tensors.map((name) => parts(name).join(".")),
  ];
}

/** A `training.groups` entry of run.yaml. */
export interface GroupValues {
  readonly name: string;
  readonly match: readonly string[];
  readonly learningRate: number;
  readonly learningRateRatio: null;
  readonly weightDecay: number;
}

/** The groups beyond the first in the words of run.yaml: patterns that mean exactly these tensors. */
export function groupValues(groups: readonly ForeignGroup[]): GroupValues[] {
  const all = groups.flatMap(({ tensors }) => tensors);
  const exact = (match: readonly string[], tensors: readonly string[]): boolean =>
    all.every((name) => match.some((pattern) => matchesTensor(pattern, name)) === tensors.includes(name));
  return groups.slice(1).map(({ name, tensors, peak, weightDecay }) => {
    const match = waysToSay(tensors).find((way) => exact(way, tensors)) ?? tensors;
    return { name, match, learningRate: peak, learningRateRatio: null, weightDecay };
  });
}
