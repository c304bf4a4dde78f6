// Every public error code is reached by a test that names it.
import { ERROR_CODES } from "../../../src/core/index.ts";
import { fromFindings, type Gate } from "../gate.ts";
import { isTest, sourceFiles } from "../source-files.ts";

/** Codes that no test can reach yet, and what they wait for. Remove the line with the test. */
const WAITING: Readonly<Record<string, string>> = {
  AUDIT_FINDINGS: "verify is not there yet",
};

/** What is wrong with the coverage of `codes` by the text of all tests. */
export function findUnreached(codes: readonly string[], tests: string, waiting: Readonly<Record<string, string>>): string[] {
  const quoted = (code: string): boolean => new RegExp(`["'\`]${code}["'\`]`).test(tests);
  const unreached = codes.filter((code) => !quoted(code) && !(code in waiting)).map((code) => `${code}: no test names it`);
  const stale = Object.keys(waiting).flatMap((code) => {
    if (!codes.includes(code)) return [`${code}: on the waiting list, but no such code exists`];
    return quoted(code) ? [`${code}: on the waiting list, but a test names it; take it off`] : [];
  });
  return [...unreached, ...stale];
}

export const errorCodesGate: Gate = {
  name: "error-codes",
  says: "every error code is reached by a test",
  async run() {
    // Tests of core and of the gates quote codes as samples; that reaches nothing.
    const files = await sourceFiles((path) => isTest(path) && /^(src|test)\//.test(path) && !path.startsWith("src/core/errors"));
    const codes = Object.keys(ERROR_CODES);
    const tests = files.map((file) => file.text).join("\n");
    return fromFindings(findUnreached(codes, tests, WAITING), `${codes.length} codes, ${Object.keys(WAITING).length} waiting`);
  },
};
