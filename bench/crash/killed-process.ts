// Runs the built program once, to be killed at a moment of its own making or after a time.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, rmSync } from "node:fs";
import { fileURLToPath, pathToFileURL } from "node:url";

const MAIN = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
const DIE_AT = pathToFileURL(fileURLToPath(new URL("die-at.mjs", import.meta.url))).href;

/** When a process is killed. */
export type Moment =
  | { readonly kind: "time"; readonly afterMs: number }
  | { readonly kind: "call"; readonly thread: "main" | "worker"; readonly nth: number; readonly when: "before" | "half" | "after" };

/** A line of the diary: an update that was made, or a call that changes the disk. */
export interface DiaryLine {
  readonly step?: number;
  readonly thread?: "main" | "worker";
  readonly call?: string;
  readonly path?: string;
  readonly died?: string;
}

/** How a process ended. */
export interface Ended {
  readonly code: number | null;
  readonly killed: boolean;
  readonly err: string;
  readonly ms: number;
  readonly diary: readonly DiaryLine[];
}

function readDiary(path: string): DiaryLine[] {
  let text = "";
  try {
    text = readFileSync(path, "utf8");
  } catch {
    return []; // nothing happened
  }
  // A line that was cut short by the kill is none.
  return text
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line) as DiaryLine);
}

/** Runs a command line of the built program in a folder; `under` is the folder of runs whose calls are told. */
export async function runKilled(inputs: readonly string[], folder: string, under: string, moment: Moment | null): Promise<Ended> {
  const diary = `${folder}/diary.jsonl`;
  rmSync(diary, { force: true });
  const at = moment?.kind === "call" ? { thread: moment.thread, nth: moment.nth, when: moment.when } : null;
  const env = { ...process.env, NODE_OPTIONS: `--import ${DIE_AT}`, HEIRLOOM_CRASH: JSON.stringify({ diary, under, at }) };
  const began = performance.now();
  const child = spawn(process.execPath, [MAIN, ...inputs], { cwd: folder, env, stdio: ["ignore", "ignore", "pipe"] });
  const timer = moment?.kind === "time" ? setTimeout(() => child.kill("SIGKILL"), moment.afterMs) : null;
  let err = "";
  child.stderr.on("data", (chunk: Buffer) => {
    err += chunk.toString();
  });
  const [code, signal] = (await once(child, "close")) as [number | null, string | null];
  if (timer !== null) clearTimeout(timer);
  return { code, killed: signal === "SIGKILL", err, ms: performance.now() - began, diary: readDiary(diary) };
}
