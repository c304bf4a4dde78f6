// The most memory that a command's process held, observed from outside: the kernel's own high-water mark.
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { InternalError } from "../../src/core/index.ts";

/** Growth in the last moments before the process ends is missed; 20 ms of it at most. */
const POLL_MS = 20;

function highWaterMark(pid: number): number | null {
  try {
    const kib = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
    return kib === undefined ? null : 1024 * Number(kib);
  } catch {
    return null; // the process has ended
  }
}

/** What a process printed, and its peak. */
export interface MeasuredPeak {
  readonly bytes: number;
  readonly output: string;
}

/** Runs `node` with these arguments. @throws InternalError if it fails, or where there is no /proc */
export async function measurePeak(parameters: readonly string[]): Promise<MeasuredPeak> {
  const child = spawn(process.execPath, parameters, { stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  let bytes = 0;
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    output += chunk;
  });
  const poll = setInterval(() => {
    if (child.pid !== undefined) bytes = highWaterMark(child.pid) ?? bytes;
  }, POLL_MS);
  const code = await new Promise<number | string | null>((resolve, reject) => {
    child.once("error", reject).once("close", (status, signal) => resolve(status ?? signal));
  }).finally(() => clearInterval(poll));
  if (code !== 0) throw new InternalError(`node ${parameters.join(" ")}: ended with ${code}`);
  if (bytes === 0) throw new InternalError("expected VmHWM in /proc, found none: peaks are measured on Linux only");
  return { bytes, output };
}
