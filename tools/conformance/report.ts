// Results as lines for people and as one JSON document.
import { holds, type Measure, type Result, worstOf } from "./check.ts";

const WORDS: Readonly<Record<Result["status"], string>> = { pass: "pass", fail: "FAIL", unsupported: "----" };

const figure = (value: number): string => (value === 0 || Number.isInteger(value) ? `${value}` : value.toExponential(1));

function measureText(measure: Measure): string {
  const limit = measure.tolerance === 0 ? "exact" : figure(measure.tolerance);
  return `${measure.what}: ${figure(measure.error)} (${limit})${measure.detail === undefined || measure.error === 0 ? "" : `, ${measure.detail}`}`;
}

/** One result: its worst comparison, and below it every one that failed. */
export function resultLines(result: Result): string[] {
  const head = `${WORDS[result.status]}  ${`${result.set}/${result.case}`.padEnd(48)} ${result.check.padEnd(10)}`;
  if (result.status === "unsupported") return [`${head} unsupported: ${(result.reason ?? "").replaceAll("\n", "; ")}`];
  if (result.reason !== null) return [`${head} ${result.reason}`];
  const worst = worstOf(result.measures);
  const failed = result.measures.filter((measure) => !holds(measure));
  if (failed.length === 0) return [`${head} ${result.measures.length} compared; ${worst === undefined ? "" : measureText(worst)}`];
  return [
    `${head} ${failed.length} of ${result.measures.length} comparisons failed`,
    ...failed.map((measure) => `        ${measureText(measure)}`),
  ];
}

/** The closing lines: per set, and all together. */
export function summaryLines(results: readonly Result[]): string[] {
  const count = (all: readonly Result[]): string => {
    const of = (status: Result["status"]) => all.filter((result) => result.status === status).length;
    return `${of("pass")} passed, ${of("fail")} failed, ${of("unsupported")} unsupported`;
  };
  const sets = [...new Set(results.map(({ set }) => set))];
  const perSet = sets.map((set) => `${set.padEnd(24)} ${count(results.filter((result) => result.set === set))}`);
  return [...perSet, `${"all".padEnd(24)} ${count(results)}`];
}

/** Whether everything that was selected passed. */
export function allPassed(results: readonly Result[]): boolean {
  return results.length > 0 && results.every(({ status }) => status === "pass");
}

const statusOf = (results: readonly Result[]): Result["status"] =>
  results.some(({ status }) => status === "fail")
    ? "fail"
    : results.some(({ status }) => status === "unsupported")
      ? "unsupported"
      : "pass";

/** The document of `--json`. An error that is not a number is null. */
export function jsonDocument(directory: string, results: readonly Result[]): unknown {
  const group = (all: readonly Result[], key: "set" | "case"): string[] => [...new Set(all.map((result) => result[key]))];
  return {
    schemaVersion: 1,
    ok: allPassed(results),
    directory,
    sets: group(results, "set").map((set) => {
      const ofSet = results.filter((result) => result.set === set);
      return {
        set,
        status: statusOf(ofSet),
        cases: group(ofSet, "case").map((name) => {
          const ofCase = ofSet.filter((result) => result.case === name);
          return { case: name, status: statusOf(ofCase), checks: ofCase.map(checkDocument) };
        }),
      };
    }),
  };
}

function checkDocument({ check, status, reason, seconds, measures }: Result): unknown {
  const worst = worstOf(measures);
  return {
    check,
    status,
    reason,
    seconds: Number(seconds.toFixed(3)),
    largest: worst === undefined ? null : { what: worst.what, error: worst.error, tolerance: worst.tolerance },
    comparisons: measures.map((measure) => ({ ...measure, ok: holds(measure) })),
  };
}
