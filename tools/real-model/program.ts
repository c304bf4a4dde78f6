// Runs the built program as a user would, and notes what it took.
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { InternalError } from "../../src/core/index.ts";

/** What a command did. */
export interface Ran {
  readonly exit: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly seconds: number;
  /** Largest resident set that the kernel noted, in bytes; polled, so the last fifth of a second may be missing. */
  readonly peakRssBytes: number;
}

const POLL_MS = 200;

function highWater(pid: number): number {
  try {
    const line = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
    return Number(line?.[1] ?? 0) * 1024;
  } catch {
    return 0; // it has just ended
  }
}

/**
 * Runs `heirloom …args`; `whileRunning` is called with what has been printed on stderr so far and may ask for SIGINT.
 * Quiet commands print their JSON on stdout.
 */
export function run(args: readonly string[], options: { readonly stopWhen?: () => boolean; readonly command?: string } = {}): Promise<Ran> {
  const started = performance.now();
  const command = options.command ?? process.execPath;
  const child = spawn(command, options.command === undefined ? ["dist/cli/main.js", ...args] : [...args], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => out.push(chunk));
  child.stderr.on("data", (chunk: Buffer) => err.push(chunk));
  let peakRssBytes = 0;
  let stopped = false;
  const timer = setInterval(() => {
    if (child.pid !== undefined) peakRssBytes = Math.max(peakRssBytes, highWater(child.pid));
    if (!stopped && options.stopWhen?.() === true) {
      stopped = true;
      child.kill("SIGINT");
    }
  }, POLL_MS);
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (exit) => {
      clearInterval(timer);
      resolve({
        exit,
        stdout: Buffer.concat(out).toString(),
        stderr: Buffer.concat(err).toString(),
        seconds: (performance.now() - started) / 1000,
        peakRssBytes,
      });
    });
  });
}

/** Runs a command that must end with `exit`, and reads its JSON. */
export async function runJson<T>(
  args: readonly string[],
  exit = 0,
  options: Parameters<typeof run>[1] = {},
): Promise<{ json: T; ran: Ran }> {
  const ran = await run([...args, "--json", "--quiet"], options);
  if (ran.exit !== exit)
    throw new InternalError(`heirloom ${args.join(" ")} ended with ${ran.exit}, expected ${exit}:\n${ran.stdout}${ran.stderr}`);
  return { json: JSON.parse(ran.stdout) as T, ran };
}
