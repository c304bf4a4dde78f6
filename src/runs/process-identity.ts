import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { sha256 } from "../core/node/index.ts";

/** What tells a process from every other, also from a later one with the same number. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Start of the machine's uptime and of the process, where the system tells; else null. */
  readonly started: string | null;
  /** Hash of the machine's name: a number means nothing on another machine. */
  readonly host: string;
}

/** Digits of a hash that are enough to tell machines apart. */
const HOST_DIGITS = 16;

function bootId(): string {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  } catch {
    return "";
  }
}

/** State and start time of a process; null if there is none of that number, or no /proc. */
function procStat(pid: number): { readonly state: string; readonly started: string } | null {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, "utf8");
  } catch {
    return null;
  }
  // proc(5): the name in parentheses may hold anything; after it, field 3 is the state and field 22 the start in ticks since boot.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return { state: fields[0] ?? "", started: `${bootId()}:${fields[19] ?? ""}` };
}

/** This process. */
export function thisProcess(): ProcessIdentity {
  return { pid: process.pid, started: procStat(process.pid)?.started ?? null, host: sha256(hostname()).slice(0, HOST_DIGITS) };
}

function answers(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM"; // there, but another user's
  }
}

/** Whether a process still runs; `elsewhere` if it belongs to another machine, which cannot be asked. */
export function processState({ pid, started, host }: ProcessIdentity): "alive" | "dead" | "elsewhere" {
  if (host !== thisProcess().host) return "elsewhere";
  if (!answers(pid)) return "dead";
  const now = procStat(pid);
  if (now === null || started === null) return "alive";
  // Z and X: ended, and only waiting for its parent to notice. Another start: the number was given to another process.
  return now.state === "Z" || now.state === "X" || now.started !== started ? "dead" : "alive";
}
