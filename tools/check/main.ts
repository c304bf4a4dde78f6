// npm run check [-- GATE… | --list]: runs every gate, or those named and what they need; one line each,
// then what to mend, then the closing count. Goes on after a failure and exits 1 at the end.
import { mkdir } from "node:fs/promises";
import { nearestName } from "../../src/core/index.ts";
import { type Gate, SCRATCH } from "./gate.ts";
import { GATES } from "./gates/index.ts";
import { closingLine, type Outcome, runGates } from "./run-gates.ts";

const NAME_WIDTH = Math.max(...GATES.map((gate) => gate.name.length)) + 2;

function print({ gate, result, seconds, blockedBy }: Outcome): void {
  const verdict = blockedBy !== undefined ? "----" : result.ok ? "ok  " : "FAIL";
  console.log(`${verdict}  ${gate.name.padEnd(NAME_WIDTH)}${result.note}${blockedBy === undefined ? `  (${seconds.toFixed(1)} s)` : ""}`);
}

const list = (): string => GATES.map((gate) => `  ${gate.name.padEnd(NAME_WIDTH)}${gate.says}`).join("\n");

function select(names: readonly string[]): Gate[] | null {
  const known = GATES.map((gate) => gate.name);
  for (const name of names.filter((name) => !known.includes(name))) {
    const near = nearestName(name, known);
    console.error(`no gate is called "${name}"${near === undefined ? "" : `; did you mean "${near}"?`}`);
    console.error(list());
    return null;
  }
  const wanted = new Set(names.length === 0 ? known : names);
  // Needs come before their users in the table, so one pass from the end finds all.
  for (const gate of GATES.toReversed()) if (wanted.has(gate.name)) for (const need of gate.needs ?? []) wanted.add(need);
  return GATES.filter((gate) => wanted.has(gate.name));
}

async function main(names: readonly string[]): Promise<number> {
  if (names.includes("--list")) {
    console.log(list());
    return 0;
  }
  const gates = select(names);
  if (gates === null) return 2;
  await mkdir(SCRATCH, { recursive: true });
  const outcomes = await runGates(gates, print);
  for (const { gate, result } of outcomes.filter((outcome) => !outcome.result.ok && outcome.blockedBy === undefined)) {
    console.log(`\n── ${gate.name}: ${gate.says} ──\n${result.details?.trim() ?? result.note}`);
  }
  console.log(`\n${closingLine(outcomes)}`);
  return outcomes.every((outcome) => outcome.result.ok) ? 0 : 1;
}

process.exitCode = await main(process.argv.slice(2));
