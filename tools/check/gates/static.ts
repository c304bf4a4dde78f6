// The gates that are another program's verdict on the sources.
import { type Gate, type GateResult, localBin } from "../gate.ts";
import { runCommand } from "../run-command.ts";

/** The line that counts, for the summary; tools differ in wording. */
function lastLine(text: string): string {
  const lines = text.trim().split("\n");
  const line =
    lines.findLast((line) => /\d+ (errors?|violations?)\b|\(\d+\)$/.test(line)) ?? lines.findLast((line) => /\d/.test(line)) ?? "";
  return line.trim().slice(0, 100);
}

async function verdict(bin: string, args: readonly string[], passedNote?: string): Promise<GateResult> {
  const { status, output } = await runCommand(localBin(bin), args);
  if (status === 0) return { ok: true, note: passedNote ?? lastLine(output) };
  return { ok: false, note: lastLine(output) || `exit ${status}`, details: output };
}

async function lint(): Promise<GateResult> {
  const results = await Promise.all([
    verdict("biome", ["lint", "--error-on-warnings", "--max-diagnostics=100"]),
    verdict("oxlint", ["--type-aware", "--deny-warnings"]),
  ]);
  const failed = results.filter((result) => !result.ok);
  if (failed.length === 0) return { ok: true, note: results.map((result) => result.note).join("; ") };
  return { ok: false, note: failed.map((result) => result.note).join("; "), details: failed.map((result) => result.details).join("\n") };
}

/** Two passes: the tests may use what ships, but only being tested keeps nothing alive. */
async function deadCode(): Promise<GateResult> {
  const all = await verdict("knip", ["--no-progress"], "no unused file, export or dependency");
  return all.ok ? verdict("knip", ["--no-progress", "--production"], all.note) : all;
}

export const STATIC_GATES: readonly Gate[] = [
  { name: "format", says: "Biome would change nothing", run: () => verdict("biome", ["format", "--max-diagnostics=30"]) },
  { name: "lint", says: "Biome and the typed rules of oxlint have nothing to say", run: lint },
  { name: "types", says: "TypeScript agrees, strictly", run: () => verdict("tsc", ["-p", "tsconfig.json", "--noEmit"], "strict") },
  {
    name: "layers",
    says: "imports go down, through the doors, without cycles",
    run: () => verdict("depcruise", ["--config", ".dependency-cruiser.mjs", "--output-type", "err", "src", "tools", "test", "bench"]),
  },
  { name: "dead-code", says: "no unused file, export, type or dependency", run: deadCode },
];
