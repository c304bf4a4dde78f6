// Runs the built program as a user would.
import { spawn } from "node:child_process";
import { InternalError } from "../../src/core/index.ts";

/** What a command did. */
export interface Ran {
  readonly exit: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** How often it is asked whether the command is to be stopped. */
const POLL_MS = 200;

/** Runs `heirloom …args`, or another command; sends SIGINT once `stopWhen` says so. */
export function run(args: readonly string[], options: { readonly stopWhen?: () => boolean; readonly command?: string } = {}): Promise<Ran> {
  const command = options.command ?? process.execPath;
  const child = spawn(command, options.command === undefined ? ["dist/cli/main.js", ...args] : [...args], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => out.push(chunk));
  child.stderr.on("data", (chunk: Buffer) => err.push(chunk));
  let stopped = false;
  const timer = setInterval(() => {
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
