import { access } from "node:fs/promises";
import { basename, join } from "node:path";
import { HeirloomError, isHeirloomError, nearestName, ProblemList } from "../../core/index.ts";
import { isHubAddress } from "../../folders/index.ts";
import { type PeftRelease, peftRelease, printable } from "../../formats/index.ts";
import { checkpointStep, listCheckpoints, RUN_FILES, readRunResult } from "../../runs/index.ts";
import { parseBanners } from "../explain/index.ts";
import { readLog } from "../read-log.ts";
import { unmetDemands } from "./demands.ts";
import { type Finding, isRuleId, type RuleReport, type RuleSelection, runRules, type SkippedRule } from "./engine.ts";
import { type FixReport, fixAdapter } from "./fix.ts";
import { RULES, type RuleId } from "./rules/index.ts";
import { openSubject, type SubjectOptions } from "./subject.ts";
import type { PrintedBanner, RunFacts } from "./types.ts";
import { mergeReports, type StateReport } from "./walk.ts";

/** What may be given beside the path. */
export interface VerifyOptions {
  /** Folder of the base model, or its config.json. @defaultValue the one that the adapter's own record names, if it is there */
  readonly base?: string;
  /** Folder of an earlier state: values are compared with it. */
  readonly against?: string;
  /** File with what the trainer printed. */
  readonly log?: string;
  /** What the trainer printed. */
  readonly banner?: string;
  /** Version of PEFT that the adapter is to be loaded with. */
  readonly peft?: string;
  /** Reads all values, also without anything to compare them with. @defaultValue false */
  readonly values?: boolean;
  /** Whether a warning fails the audit too. @defaultValue false */
  readonly strict?: boolean;
  /** Ids of the rules to run. @defaultValue all */
  readonly only?: readonly string[];
  /** Rules to leave out, each `RULE` or `RULE:reason`. */
  readonly ignore?: readonly string[];
  /** Folder that a repaired copy is written to. */
  readonly fix?: string;
}

/** The fields of `verify --json`. */
export interface VerifyResult {
  /** False if there is an error, or with `strict` a warning. */
  readonly ok: boolean;
  /** Ids of the rules that ran. */
  readonly checked: readonly string[];
  readonly skipped: readonly SkippedRule[];
  readonly findings: readonly Finding[];
  /** With `fix` only: what was repaired; the rest of the result is about the repaired copy. */
  readonly fixed?: FixReport;
}

function unknownRule(id: string, problems: ProblemList): void {
  const near = nearestName(id, Object.keys(RULES));
  problems.add("USAGE", `there is no rule "${printable(id, 60)}"`, {
    hint: near === undefined ? `the rules are: ${Object.keys(RULES).join(", ")}` : `did you mean "${near}"?`,
  });
}

/** A selection that leaves nothing to run would pass anything. */
function refuseNothing({ only, ignore }: RuleSelection, problems: ProblemList): void {
  const ids = (Object.keys(RULES) as RuleId[]).filter((id) => only === null || only.has(id));
  if (ids.some((id) => !ignore.has(id))) return;
  problems.add("USAGE", "every rule that was asked for is left out", {
    hint: "leave out fewer with --ignore, or ask for others with --only",
  });
}

function selectionOf({ only, ignore = [] }: VerifyOptions): RuleSelection {
  const problems = new ProblemList();
  const wanted = new Set<RuleId>();
  for (const id of only ?? []) {
    if (isRuleId(id)) wanted.add(id);
    else unknownRule(id, problems);
  }
  const ignored = new Map<RuleId, string>();
  for (const text of ignore) {
    const [id = "", ...reason] = text.split(":");
    if (isRuleId(id)) ignored.set(id, printable(reason.join(":").trim() || "no reason given"));
    else unknownRule(id, problems);
  }
  const selection = { only: only === undefined ? null : wanted, ignore: ignored };
  refuseNothing(selection, problems);
  problems.throwIfAny();
  return selection;
}

async function bannersInLog(log: string): Promise<readonly PrintedBanner[]> {
  const text = await readLog(log);
  try {
    return parseBanners(text).map((found) => ({ ...found, log: printable(basename(log)) }));
  } catch (error) {
    if (!isHeirloomError(error) || error.code !== "USAGE") throw error;
    throw new HeirloomError("USAGE", error.problems[0].message, { where: log, ...(error.hint === undefined ? {} : { hint: error.hint }) });
  }
}

async function bannersIn({ log, banner }: VerifyOptions): Promise<readonly PrintedBanner[] | undefined> {
  if (banner === undefined && log === undefined) return undefined;
  return [
    ...(log === undefined ? [] : await bannersInLog(log)),
    ...(banner === undefined ? [] : parseBanners(banner).map((found) => ({ ...found, log: null }))),
  ];
}

function namedRelease(version: string): PeftRelease {
  const release = peftRelease(version);
  if (release !== null) return release;
  throw new HeirloomError("USAGE", `expected a version of PEFT, found ${JSON.stringify(printable(version, 40))}`, {
    hint: "for instance --peft 0.12.0",
  });
}

async function judge(path: string, options: SubjectOptions, selection: RuleSelection): Promise<RuleReport> {
  const opened = await openSubject(path, options);
  try {
    return await runRules(opened.subject, selection);
  } finally {
    await opened.close();
  }
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

/** Where the end of a run lies: beside its checkpoints or in a folder of its own; null if it has not come to it. */
async function finalState(run: string): Promise<string | null> {
  const folders = (await exists(join(run, RUN_FILES.record)))
    ? [RUN_FILES.adapter, RUN_FILES.model, RUN_FILES.rejected].map((name) => join(run, name))
    : [run];
  for (const folder of folders) {
    if ((await exists(join(folder, "adapter_config.json"))) || (await exists(join(folder, "config.json")))) return folder;
  }
  return null;
}

/** What the result of a run names, held against its folder; null if the path is no run that came to its end. */
async function runFacts(path: string): Promise<RunFacts | null> {
  if (isHubAddress(path) || !(await exists(join(path, RUN_FILES.record)))) return null;
  const result = await readRunResult(path);
  if (result === null) return null;
  const files = Object.keys(result.files);
  const missing: string[] = [];
  for (const file of files) if (!(await exists(join(path, result.output, file)))) missing.push(file);
  return { output: printable(result.output), recorded: files.length, missing };
}

/** The states of a run, oldest first, the final one at the end; empty if the path is no run with checkpoints. */
async function statesOf(path: string): Promise<{ path: string; isFinal: boolean }[]> {
  // A checkpoint may hold folders with such names too; it is one state.
  if (checkpointStep(path) !== null) return [];
  const checkpoints = await listCheckpoints(path).catch((error: unknown) => {
    if (isHeirloomError(error)) return []; // what is wrong with the path is said when it is opened
    throw error;
  });
  if (checkpoints.length === 0) return [];
  const final = await finalState(path);
  return [
    ...checkpoints.map((found) => ({ path: found.path, isFinal: false })),
    ...(final === null ? [] : [{ path: final, isFinal: true }]),
  ];
}

async function judgeRun(
  states: readonly { path: string; isFinal: boolean }[],
  options: SubjectOptions,
  selection: RuleSelection,
): Promise<RuleReport> {
  const reports: StateReport[] = [];
  for (const [i, { path, isFinal }] of states.entries()) {
    const isLast = i === states.length - 1;
    const state: SubjectOptions = {
      ...options,
      against: states[i - 1]?.path ?? options.against,
      requiresCommon: i === 0,
      banners: isLast ? options.banners : undefined,
      run: isLast ? options.run : null,
      expectsChange: !isFinal,
    };
    reports.push({ label: printable(isFinal ? "the final state" : basename(path)), report: await judge(path, state, selection) });
  }
  return mergeReports(reports);
}

function resultOf(report: RuleReport, options: VerifyOptions, selection: RuleSelection): VerifyResult {
  const { strict = false } = options;
  const findings = [...report.findings, ...unmetDemands(report, options, selection)];
  const failing = findings.some(({ severity }) => severity === "error" || (strict && severity === "warning"));
  return { ok: !failing, checked: report.checked, skipped: report.skipped, findings };
}

async function repair(path: string, output: string, options: SubjectOptions): Promise<FixReport> {
  const opened = await openSubject(path, options);
  try {
    return await fixAdapter(opened, output);
  } finally {
    await opened.close();
  }
}

/**
 * Judges an adapter, a checkpoint, a model, or all checkpoints of a run in order,
 * from configuration and headers, and from values where there is something to
 * compare them with or `values` asks for it. Values are streamed.
 * A rule that was asked for by name, and an input that no rule could use, are errors: a gate that checks nothing must not pass.
 *
 * @param path folder of the adapter, checkpoint, run or model
 * @throws COMPARISON_EMPTY if `against` has no tensor in common; USAGE for an unknown rule or a log without a count; FILE_MISSING, JSON_INVALID, PEFT_CONFIG_INVALID, SAFETENSORS_INVALID
 * and what else opening a damaged file throws; with `fix` ADAPTER_UNSUPPORTED, OUTPUT_EXISTS, WRITE_FAILED
 * @example
 * const { ok, findings } = await verifyPath("runs/a", { base: "models/m" });
 */
export async function verifyPath(path: string, options: VerifyOptions = {}): Promise<VerifyResult> {
  const selection = selectionOf(options);
  const banners = await bannersIn(options);
  const { base, against, values, fix } = options;
  const peft = options.peft === undefined ? undefined : namedRelease(options.peft);
  const given: SubjectOptions = { base, against, banners, values, peft, requiresCommon: true, run: await runFacts(path) };
  const states = await statesOf(path);
  if (fix === undefined) {
    return resultOf(await (states.length > 0 ? judgeRun(states, given, selection) : judge(path, given, selection)), options, selection);
  }
  if (states.length > 0) {
    throw new HeirloomError("USAGE", "a run is not repaired as a whole", {
      where: path,
      hint: "name one of its checkpoints, or its adapter",
    });
  }
  const fixed = await repair(path, fix, given);
  return { ...resultOf(await judge(fixed.folder ?? path, given, selection), options, selection), fixed };
}
