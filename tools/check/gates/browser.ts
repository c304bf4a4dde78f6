// The half that is declared free of Node, as built, in a real browser. Without one the gate fails and says what to install.
import { findChromium, NO_CHROMIUM } from "../../../test/browser/fixtures/find-chromium.ts";
import type { Gate, GateResult } from "../gate.ts";
import { runProjects } from "./tests.ts";

/** Measured: 7 s on two idle cores, 23 s beside other programs at six times the load that they can carry. */
const MAX_SECONDS = 60;

/** Runs the tests if there is a Chromium to run them in. */
export function runInBrowser(env: Readonly<Record<string, string | undefined>>): Promise<GateResult> {
  if (findChromium(env) === undefined) return Promise.resolve({ ok: false, note: "no Chromium", details: NO_CHROMIUM });
  return runProjects(["browser"], MAX_SECONDS);
}

export const browserGate: Gate = {
  name: "tests-browser",
  says: `the half free of Node works in Chromium, within ${MAX_SECONDS} s`,
  alone: true,
  needs: ["build"],
  run: () => runInBrowser(process.env),
};
