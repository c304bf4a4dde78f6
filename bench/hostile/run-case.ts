// Runs one command line in a process of its own, with a limit, and judges how it ended.
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

/** What one hostile input may cost. */
export const LIMITS = { seconds: 3, mib: 300 } as const;
/** A process that is still there after this is ended: it waits for something, or other work keeps the machine busy. */
const KILL_AFTER_MS = 90_000;
const PEAK = fileURLToPath(new URL("peak.mjs", import.meta.url));

/** How a process ended. */
export interface CaseOutcome {
  /** `read`, `findings`, or the code of the error. */
  readonly outcome: string;
  /** Of processor time: what else the machine does meanwhile does not count. */
  readonly seconds: number;
  /** Null if it was ended from outside. */
  readonly mib: number | null;
  /** What is wrong with that; empty if nothing is. */
  readonly faults: readonly string[];
}

// Line ends are ours; everything else that steers a terminal is the file's.
const CONTROL = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2066-\u2069]/;

function outcomeOf(code: number | null, out: string): string {
  if (code === 0) return "read";
  if (code === 20) return "findings";
  try {
    return (JSON.parse(out) as { error: { code: string } }).error.code;
  } catch {
    return `exit ${code ?? "by a signal"}`;
  }
}

/**
 * Runs the program on inputs that end in `--json`, and once more without, to see what people would see.
 *
 * @param program arguments of node that start it
 */
export async function runCase(program: readonly string[], inputs: readonly string[], folder: string): Promise<CaseOutcome> {
  const json = await runOnce(program, [...inputs, "--json"], folder);
  const outcome = outcomeOf(json.code, json.out);
  const text = await runOnce(program, inputs, folder);
  const faults: string[] = [];
  const seconds = Math.max(json.seconds, text.seconds);
  const mib = json.mib === null || text.mib === null ? null : Math.max(json.mib, text.mib);
  if (!/^(?:read|findings|[A-Z_]+)$/.test(outcome) || outcome === "INTERNAL") faults.push(outcome);
  if (seconds > LIMITS.seconds) faults.push(`${seconds.toFixed(1)} s`);
  if (mib === null) faults.push("ended from outside");
  else if (mib > LIMITS.mib) faults.push(`${mib.toFixed(0)} MiB`);
  if ([json.out, json.err, text.out, text.err].some((printed) => CONTROL.test(printed))) faults.push("control characters printed raw");
  return { outcome, seconds, mib, faults };
}

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
  readonly seconds: number;
  readonly mib: number | null;
}

function runOnce(program: readonly string[], inputs: readonly string[], folder: string): Promise<Ended> {
  return new Promise((done) => {
    const child = spawn(process.execPath, ["--import", PEAK, ...program, ...inputs], {
      cwd: folder,
      stdio: ["ignore", "pipe", "pipe", "pipe"],
      env: { ...process.env, HEIRLOOM_DEBUG: "1" },
    });
    const texts = ["", "", ""];
    for (const [i, stream] of child.stdio.slice(1).entries()) {
      stream?.on("data", (chunk: Buffer) => {
        texts[i] = `${texts[i] ?? ""}${chunk.toString()}`;
      });
    }
    const timer = setTimeout(() => child.kill("SIGKILL"), KILL_AFTER_MS);
    child.on("close", (code) => {
      clearTimeout(timer);
      const [out = "", err = "", said = ""] = texts;
      const cost = said === "" ? { seconds: KILL_AFTER_MS / 1000, mib: null } : (JSON.parse(said) as { seconds: number; mib: number });
      done({ code, out, err, ...cost });
    });
  });
}
