import { HeirloomError, InternalError, nearestName } from "../core/index.ts";
import { problemsOf } from "./issues.ts";
import { type EvaluationConfig, type GateConfig, gateSchema } from "./schema.ts";
import { parseConfigFile } from "./yaml-file.ts";

/** Names that a gate can be about. */
export interface MeasuredSets {
  /** With a loss and a perplexity. */
  readonly losses: readonly string[];
  /** With exact match and F1. */
  readonly answers: readonly string[];
}

/** Something that is wrong with a gate, at its place in the list. */
export interface GateFault {
  readonly index: number;
  /** The gate is about all sets, and there is none yet: those of a parent may still come. */
  readonly isOpen: boolean;
  readonly message: string;
  readonly hint?: string;
}

/** The sets of a parent are named like this; which there are is known when its record is read. */
export const PARENT_PREFIX = "parent/";

const CONDITIONS = ["mustFall", "mustRise", "mustNotRise", "mustNotFall", "atMost", "atLeast"] as const satisfies (keyof GateConfig)[];

/** Whether a gate's metric is one of answers. */
export function isAnswerMetric(metric: GateConfig["metric"]): boolean {
  return metric === "exactMatch" || metric === "f1";
}

/** The sets that a gate is about, of those that there are. */
export function gateSets({ dataset, metric }: GateConfig, sets: MeasuredSets): readonly string[] {
  return dataset ?? (isAnswerMetric(metric) ? sets.answers : sets.losses);
}

function setFaults(gate: GateConfig, index: number, sets: MeasuredSets): GateFault[] {
  const ofAnswers = isAnswerMetric(gate.metric);
  const known = ofAnswers ? sets.answers : sets.losses;
  const where = ofAnswers ? "evaluation.answers" : "data.eval";
  if (gate.dataset === null && known.length === 0)
    return [{ index, isOpen: true, message: `the gate has nothing to judge: there is no set with ${gate.metric}`, hint: `add ${where}` }];
  return (gate.dataset ?? [])
    .filter((name) => !known.includes(name))
    .map((name) => {
      const near = nearestName(name, known);
      const hint =
        near === undefined
          ? `known: ${known.join(", ") || "none"}; sets for ${gate.metric} are named in ${where}`
          : `did you mean ${near}?`;
      return { index, isOpen: false, message: `the gate is about "${name}", and no set with ${gate.metric} is called that`, hint };
    });
}

/** What is wrong with gates, given the sets that are evaluated. */
export function gateFaults(gates: readonly GateConfig[], sets: MeasuredSets): GateFault[] {
  return gates.flatMap((gate, index): GateFault[] => {
    const given = CONDITIONS.filter((name) => gate[name] !== null);
    const faults = setFaults(gate, index, sets);
    if (given.length === 0)
      faults.push({ index, isOpen: false, message: "the gate asks for nothing", hint: `give it one of ${CONDITIONS.join(", ")}` });
    for (const [up, down] of [
      ["mustRise", "mustFall"],
      ["mustRise", "mustNotRise"],
      ["mustFall", "mustNotFall"],
    ] as const) {
      if (gate[up] !== null && gate[down] !== null)
        faults.push({ index, isOpen: false, message: `${up} and ${down} contradict each other`, hint: "keep one of them" });
    }
    return faults;
  });
}

/**
 * Reads a gate from one text, as an entry of evaluation.gates, with or without its braces: `dataset: old, mustNotRise: 0.02`.
 * @throws CONFIG_SYNTAX, CONFIG_UNKNOWN_KEY, CONFIG_INVALID
 */
export function parseGate(text: string, flag = "--gate"): GateConfig {
  const inner = text.trim();
  const where = `${flag} ${text}`;
  const { values } = parseConfigFile(`gate: ${inner.startsWith("{") ? inner : `{ ${inner} }`}`, where);
  const parsed = gateSchema.safeParse(values["gate"]);
  if (parsed.success) return parsed.data;
  const issues = parsed.error.issues.map((issue) => ({ ...issue, path: ["evaluation", "gates", 0, ...issue.path] }));
  const layer = { source: "flag" as const, values: {}, locate: () => where };
  const [first, ...rest] = problemsOf(issues, { evaluation: { gates: [values["gate"]] } }, [layer]);
  throw first === undefined ? new InternalError("a gate was refused without a reason") : HeirloomError.of([{ ...first, where }, ...rest]);
}

/** The settings of evaluation, those that a record of an earlier version lacks as if they had been left out. */
export function evaluationSettings(recorded: EvaluationConfig): EvaluationConfig {
  const later: Pick<EvaluationConfig, "answers" | "answerTokens" | "gates" | "earlyStopping" | "parentSets"> = {
    answers: {},
    answerTokens: 32,
    gates: [],
    earlyStopping: null,
    parentSets: false,
  };
  return { ...later, ...recorded };
}
