// Runs one command as a fresh process and observes it from outside, so that two programs are measured in the same way.
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { InternalError } from "../../src/core/index.ts";

const POLL_MS = 100;

/** What is known of a process that has ended. */
export interface ObservedProcess {
  /** As the process itself says. */
  readonly peakRssMib: number;
  /** The kernel's VmHWM as last seen from outside; null where there is no /proc. */
  readonly observedPeakRssMib: number | null;
  /** Cores that other processes used meanwhile: above about 0.1 the round was contended. */
  readonly othersCores: number | null;
  readonly wallSeconds: number;
  /** All that the process printed. */
  readonly output: Readonly<Record<string, unknown>>;
}

/** A process that states a rate. */
export interface ProcessResult extends ObservedProcess {
  readonly tokensPerSecond: number;
}

const read = (path: string): string | null => {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null; // the process has ended, or this is not Linux
  }
};

/** USER_HZ, the unit of /proc times: 100 on every Linux that Node supports. */
const TICKS_PER_SECOND = 100;

function machineBusySeconds(): number | null {
  const line = read("/proc/stat")?.split("\n", 1)[0];
  if (line === undefined) return null;
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = line.trim().split(/\s+/).slice(1).map(Number);
  return (user + nice + system + irq + softirq + steal) / TICKS_PER_SECOND;
}

function ownSeconds(pid: number): number | null {
  const fields = read(`/proc/${pid}/stat`)
    ?.replace(/^.*\) /s, "")
    .split(" ");
  return fields === undefined ? null : (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

function peakRssMib(pid: number): number | null {
  const match = read(`/proc/${pid}/status`)?.match(/VmHWM:\s+(\d+) kB/);
  return match?.[1] === undefined ? null : Number(match[1]) / 1024;
}

/** The last JSON object that the process printed, on one line or over several. */
function parseOutput(text: string, command: string): Record<string, unknown> {
  const starts = [...text.matchAll(/^\{/gm)].map((match) => match.index).reverse();
  for (const start of starts) {
    try {
      return JSON.parse(text.slice(start)) as Record<string, unknown>;
    } catch {
      // an inner line that begins with a brace; the object starts earlier
    }
  }
  throw new InternalError(`${command}: expected a JSON object at the end of its output, found ${JSON.stringify(text.slice(-200))}`);
}

/** A rate is a number, or an object that also counts padding, of which the real tokens are taken. */
function tokensPerSecond(value: unknown): number {
  const rate = typeof value === "object" && value !== null ? (value as Record<string, unknown>)["real_tokens"] : value;
  if (typeof rate !== "number" || !(rate > 0)) throw new InternalError(`expected tokens_per_s > 0, found ${JSON.stringify(value)}`);
  return rate;
}

/**
 * @param command program and arguments; its stdout must end with a JSON object
 * @throws InternalError if it fails or prints anything else
 */
export async function observeProcess(command: readonly string[]): Promise<ObservedProcess> {
  const [program = "", ...parameters] = command;
  const name = command.join(" ");
  const busyBefore = machineBusySeconds();
  const began = performance.now();
  const child = spawn(program, parameters, { stdio: ["ignore", "pipe", "inherit"] });
  let text = "";
  let own = 0;
  let observedPeak: number | null = null;
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    text += chunk;
  });
  const poll = setInterval(() => {
    if (child.pid === undefined) return;
    own = ownSeconds(child.pid) ?? own;
    observedPeak = peakRssMib(child.pid) ?? observedPeak;
  }, POLL_MS);
  const code = await new Promise<number | string | null>((resolve, reject) => {
    child.once("error", reject).once("close", (status, signal) => resolve(status ?? signal));
  }).finally(() => clearInterval(poll));
  const wallSeconds = (performance.now() - began) / 1000;
  if (code !== 0) throw new InternalError(`${name}: ended with ${code}`);
  const busyAfter = machineBusySeconds();
  const output = parseOutput(text, name);
  return {
    peakRssMib: Number(output["peak_rss_mib"]),
    observedPeakRssMib: observedPeak,
    othersCores: busyBefore === null || busyAfter === null ? null : Math.max(0, (busyAfter - busyBefore - own) / wallSeconds),
    wallSeconds,
    output,
  };
}

/** {@link observeProcess} of one whose object has `tokens_per_s` and `peak_rss_mib`. @throws InternalError if it has no rate */
export async function measureProcess(command: readonly string[]): Promise<ProcessResult> {
  const observed = await observeProcess(command);
  return { ...observed, tokensPerSecond: tokensPerSecond(observed.output["tokens_per_s"]) };
}
