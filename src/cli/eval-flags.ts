import type { GateConfig } from "../config/index.ts";
import { HeirloomError, isHeirloomError, type Problem } from "../core/index.ts";

function longRowInFlags(problem: Problem): Problem {
  const longest = problem.details?.["longest"];
  const length = typeof longest === "number" ? ` ${longest}` : "";
  return { ...problem, hint: `evaluate with --max-length${length}, or take the long rows out of the file` };
}

/** A gate's place in a run file, as the flag that it came by; and the flag that gives it a set. */
function gateInFlags(problem: Problem, texts: readonly string[], gates: readonly GateConfig[]): Problem {
  const at = Number(/^evaluation\.gates\[(\d+)\]$/.exec(problem.where ?? "")?.[1] ?? Number.NaN);
  const [text, gate] = [texts[at], gates[at]];
  if (text === undefined || gate === undefined) return problem;
  const where = `--gate "${text}"`;
  const name = gate.dataset?.find((candidate) => problem.message.includes(`"${candidate}"`));
  // What is wrong with the gate itself, or that nothing is compared, is advised on in flags already.
  if (name === undefined && !/^add (?:data\.eval|evaluation\.answers)$/.test(problem.hint ?? "")) return { ...problem, where };
  const flag = gate.metric === "exactMatch" || gate.metric === "f1" ? "--answers" : "--data";
  const known = /^(?:known: [^;]+|did you mean .*)/.exec(problem.hint ?? "")?.[0];
  const advice = `name its file: ${flag} ${name === undefined ? "" : `${name}=`}FILE`;
  return { ...problem, where, hint: known === undefined ? advice : `${known}${known.endsWith("?") ? " Or" : ";"} ${advice}` };
}

/**
 * Advice about a run file's keys, for a command that has but flags.
 *
 * @param texts of the flags that `gates` came by
 */
export function inFlags(error: unknown, texts: readonly string[] = [], gates: readonly GateConfig[] = []): unknown {
  if (!isHeirloomError(error) || (error.code !== "DATA_ROW_TOO_LONG" && error.code !== "CONFIG_INVALID")) return error;
  const [first, ...rest] = error.problems.map((problem) => {
    if (problem.code === "DATA_ROW_TOO_LONG") return longRowInFlags(problem);
    return problem.code === "CONFIG_INVALID" ? gateInFlags(problem, texts, gates) : problem;
  });
  return first === undefined ? error : HeirloomError.of([first, ...rest]);
}
