// What a gate is, and the facts that gates share.
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** What came of one gate. */
export interface GateResult {
  readonly ok: boolean;
  /** One phrase for the summary: what was looked at, or how much is wrong. */
  readonly note: string;
  /** What a person needs to mend it; shown below the summary when the gate failed. */
  readonly details?: string;
  /** Tests counted one by one in the closing line; a gate without them counts as one. */
  readonly tests?: { readonly passed: number; readonly failed: number; readonly skipped: number };
}

/** One condition that the repository must meet. */
export interface Gate {
  readonly name: string;
  /** What it checks, one phrase. */
  readonly says: string;
  /** Gates that must have passed first. */
  readonly needs?: readonly string[];
  /** Uses all cores, so nothing runs beside it. */
  readonly alone?: boolean;
  run(): Promise<GateResult>;
}

/** The repository's root. */
export const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** Scratch space of the check, ignored by git. */
export const SCRATCH = join(ROOT, ".cache", "check");

/** The command line of a program from node_modules, in this Node. */
export function localBin(name: string): string {
  return join(ROOT, "node_modules", ".bin", name);
}

/** A result from a list of what is wrong: none, and the gate passed. */
export function fromFindings(findings: readonly string[], passedNote: string): GateResult {
  if (findings.length === 0) return { ok: true, note: passedNote };
  return { ok: false, note: `${findings.length} finding${findings.length === 1 ? "" : "s"}`, details: findings.join("\n") };
}
