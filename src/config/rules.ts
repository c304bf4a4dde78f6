import type { ProblemList } from "../core/index.ts";
import { gateFaults, PARENT_PREFIX } from "./gates.ts";
import { type Layer, layerOf } from "./layers.ts";
import type { RunConfig } from "./schema.ts";

type Report = (path: readonly PropertyKey[], message: string, hint?: string) => void;

function checkAdapter(config: RunConfig, report: Report): void {
  if (config.adapter === null && !config.fullParameter) {
    report(
      ["adapter"],
      "adapter: none leaves nothing to train",
      "add fullParameter: true to train all weights of the base, or describe an adapter",
    );
  }
  if (config.adapter !== null && config.fullParameter) {
    report(
      ["fullParameter"],
      "fullParameter trains the base itself, so there is no place for an adapter",
      "add adapter: none, or take fullParameter away",
    );
  }
  if (config.fullParameter && config.quantization !== null) {
    report(
      ["fullParameter"],
      "expected quantization: none with fullParameter: quantized weights cannot be trained",
      "add quantization: none",
    );
  }
  const copies = config.adapter?.modulesToSave ?? [];
  for (const name of new Set(copies)) {
    if (copies.indexOf(name) !== copies.lastIndexOf(name))
      report(["adapter", "modulesToSave"], `adapter.modulesToSave names ${name} twice`);
  }
}

function checkSchedule({ training }: RunConfig, report: Report): void {
  if (training.warmupSteps !== null && training.warmupRatio !== null) {
    report(["training", "warmupRatio"], "warmupSteps and warmupRatio both say how long the warm-up is", "keep one of them");
  }
  if (training.steps !== null && training.warmupSteps !== null && training.warmupSteps > training.steps) {
    report(
      ["training", "warmupSteps"],
      `a warm-up of ${training.warmupSteps} updates does not end within the ${training.steps} updates of the run`,
    );
  }
}

/**
 * A run whose every update has rate 0 cannot pass its liveness check. As transformers
 * counts, the first update of a warm-up has rate 0: a run of one update has no other.
 */
function checkRates({ training }: RunConfig, report: Report): void {
  const { steps, warmupSteps, warmupRatio, learningRate, groups } = training;
  if (steps === 1 && ((warmupSteps ?? 0) > 0 || (warmupRatio ?? 0) > 0)) {
    const key = warmupSteps === null ? "warmupRatio" : "warmupSteps";
    report(
      ["training", key],
      `${key}: expected a run of at least 2 updates with a warm-up, found steps: 1; the first update of a warm-up has rate 0, so nothing would be trained`,
      `make more updates, or set training.${key} to 0`,
    );
  }
  if (learningRate === 0 && groups.every((group) => (group.learningRate ?? 0) === 0)) {
    report(["training", "learningRate"], "expected a learning rate above 0, found 0 for every tensor: nothing would be trained");
  }
}

function checkGroups({ training }: RunConfig, report: Report): void {
  const names = new Set<string>();
  for (const [index, group] of training.groups.entries()) {
    const path = ["training", "groups", index];
    if (group.name === "default") report(path, 'a group cannot be called "default": that is the group of all other tensors');
    if (names.has(group.name)) report(path, `two groups are called "${group.name}"`);
    names.add(group.name);
    if (group.learningRate !== null && group.learningRateRatio !== null) {
      report(path, `group "${group.name}" has a learningRate and a learningRateRatio`, "keep one of them");
    }
    if (group.learningRate === null && group.learningRateRatio === null && group.weightDecay === null) {
      report(path, `group "${group.name}" sets nothing`, "give it a learningRate, a learningRateRatio or a weightDecay");
    }
  }
}

function checkTogether(config: RunConfig, report: Report): void {
  if (config.training.steps !== null && config.training.epochs !== null) {
    report(["training", "epochs"], "steps and epochs both say how long to train", "keep one of them");
  }
  if (config.evaluation.everySteps !== null && Object.keys(config.data.eval).length === 0) {
    report(["evaluation", "everySteps"], "there are no data to evaluate on", "add data.eval");
  }
}

/** Gates on sets of a parent, and on all of them, are checked again when it is known which there are. */
function checkGates({ evaluation, data }: RunConfig, report: Report): void {
  const parents = evaluation.gates.flatMap(({ dataset }) => dataset ?? []).filter((name) => name.startsWith(PARENT_PREFIX));
  const losses = [...Object.keys(data.eval), ...parents];
  const answers = Object.keys(evaluation.answers);
  for (const { index, isOpen, message, hint } of gateFaults(evaluation.gates, { losses, answers })) {
    if (!isOpen) report(["evaluation", "gates", index], message, hint);
  }
}

function checkEarlyStopping({ evaluation, data }: RunConfig, report: Report): void {
  const { earlyStopping, everySteps } = evaluation;
  if (earlyStopping === null) return;
  const path = ["evaluation", "earlyStopping"];
  const names = Object.keys(data.eval);
  if (everySteps === null) report(path, "early stopping needs evaluations on the way", "add evaluation.everySteps");
  if (names.length === 0) report(path, "early stopping needs held-out data", "add data.eval");
  const { dataset } = earlyStopping;
  if (dataset !== null && names.length > 0 && !names.includes(dataset))
    report(
      [...path, "dataset"],
      `evaluation.earlyStopping watches "${dataset}", and no held-out set is called that`,
      `known: ${names.join(", ")}`,
    );
}

/** What the schema cannot say: keys that exclude or need each other. */
export function checkRules(config: RunConfig, layers: readonly Layer[], problems: ProblemList): void {
  const report: Report = (path, message, hint) => {
    const where = layerOf(layers, path)?.locate(path) ?? "configuration";
    problems.add("CONFIG_INVALID", message, { where, ...(hint === undefined ? {} : { hint }) });
  };
  checkAdapter(config, report);
  checkSchedule(config, report);
  checkRates(config, report);
  checkGroups(config, report);
  checkTogether(config, report);
  checkGates(config, report);
  checkEarlyStopping(config, report);
}
