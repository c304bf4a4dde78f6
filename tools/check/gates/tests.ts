// The tests, counted one by one from the runner's own JSON.
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { type Gate, type GateResult, localBin, SCRATCH } from "../gate.ts";
import { runCommand } from "../run-command.ts";

/** What `npm test` may take on two cores. */
const MAX_TEST_SECONDS = 120;

interface Report {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly numTodoTests: number;
  readonly testResults: readonly { readonly status: string; readonly assertionResults: readonly unknown[] }[];
}

/** Counts of a report; a test file that could not even be loaded counts as one failed test. */
export function countTests(report: Report): { passed: number; failed: number; skipped: number } {
  const broken = report.testResults.filter((file) => file.status === "failed" && file.assertionResults.length === 0).length;
  return { passed: report.numPassedTests, failed: report.numFailedTests + broken, skipped: report.numPendingTests + report.numTodoTests };
}

/** Runs the tests of these projects; too slow is a failure, too. */
export async function runProjects(projects: readonly string[], maxSeconds: number): Promise<GateResult> {
  const reportPath = join(SCRATCH, `tests-${projects.join("-")}.json`);
  await rm(reportPath, { force: true });
  const started = performance.now();
  const selection = projects.flatMap((project) => ["--project", project]);
  const { status, output } = await runCommand(
    localBin("vitest"),
    ["run", ...selection, "--passWithNoTests", "--reporter=dot", "--reporter=json", `--outputFile.json=${reportPath}`],
    { timeoutMs: 1000 * 60 * 20 },
  );
  const seconds = Math.round((performance.now() - started) / 1000);
  const text = await readFile(reportPath, "utf8").catch(() => null);
  if (text === null) return { ok: false, note: `no report, exit ${status}`, details: output };
  const tests = countTests(JSON.parse(text) as Report);
  const note = `${tests.passed} passed, ${tests.failed} failed${tests.skipped > 0 ? `, ${tests.skipped} skipped` : ""}`;
  if (seconds > maxSeconds) return { ok: false, note: `${note}; took ${seconds} s, at most ${maxSeconds}`, details: output, tests };
  return { ok: status === 0, note, details: output, tests };
}

export const TEST_GATES: readonly Gate[] = [
  {
    name: "tests",
    says: `unit and parity tests pass, within ${MAX_TEST_SECONDS} s`,
    alone: true,
    run: () => runProjects(["unit", "mocked", "parity"], MAX_TEST_SECONDS),
  },
  {
    name: "tests-property",
    says: "property tests pass, and the slow ones",
    alone: true,
    run: () => runProjects(["property", "slow"], Infinity),
  },
  {
    name: "tests-e2e",
    says: "the built program passes its tests",
    alone: true,
    needs: ["build"],
    run: () => runProjects(["e2e"], Infinity),
  },
];
