import { spawn } from "node:child_process";
import { ROOT } from "./gate.ts";

export interface CommandOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Killed after this many milliseconds; ten minutes unless told. */
  readonly timeoutMs?: number;
}

export interface CommandResult {
  /** Exit status; 124 if it ran past its limit, 127 if it could not be started. */
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
  /** stdout, then stderr. */
  readonly output: string;
}

/** Runs a program to its end and keeps what it wrote. */
export function runCommand(file: string, args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
  const { cwd = ROOT, env = {}, timeoutMs = 600_000 } = options;
  return new Promise((resolve) => {
    const child = spawn(file, args, {
      cwd,
      env: { ...process.env, NO_COLOR: "1", FORCE_COLOR: "0", ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      child.kill("SIGKILL");
    }, timeoutMs);
    child.stdout.on("data", (chunk: Buffer) => out.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => err.push(chunk));
    const end = (status: number, extra = "") => {
      clearTimeout(timer);
      const stdout = Buffer.concat(out).toString();
      const stderr = Buffer.concat(err).toString() + extra;
      resolve({ status, stdout, stderr, output: [stdout, stderr].filter((text) => text !== "").join("\n") });
    };
    child.on("error", (error) => end(127, String(error)));
    child.on("close", (code, signal) => {
      if (late) end(124, `\nstopped after ${timeoutMs / 1000} s`);
      else end(code ?? 1, signal === null ? "" : `\nended by ${signal}`);
    });
  });
}
