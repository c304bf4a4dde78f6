import { randomUUID } from "node:crypto";
import {
  constants,
  copyFileSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { HeirloomError, InternalError } from "../core/index.ts";
import { fileError, writeError } from "../core/node/index.ts";
import { newRunId, RUN_FILES } from "./layout.ts";
import { type ProcessIdentity, processState, thisProcess } from "./process-identity.ts";

const LOCK_SCHEMA_VERSION = 1;

/** What run.lock says of the process that works on a run. */
export interface LockHolder extends ProcessIdentity {
  readonly schemaVersion: number;
  /** Version of heirloom. */
  readonly heirloom: string;
  readonly since: string;
  /** Of this one acquisition. */
  readonly nonce: string;
}

/** A lock that a file system without hard links is still writing is looked at again after this; a write takes microseconds. */
const UNREADABLE_WAIT_MS = 50;
const UNREADABLE_LOOKS = 10;
/** Every round that is lost was won by another process, so that a few are enough. */
const MAX_ROUNDS = 20;

function isHolder(value: unknown): value is LockHolder {
  if (typeof value !== "object" || value === null) return false;
  const { pid, started, host, nonce } = value as Partial<Record<keyof LockHolder, unknown>>;
  return (
    typeof pid === "number" &&
    (started === null || typeof started === "string") &&
    typeof host === "string" &&
    typeof nonce === "string" &&
    /^[0-9a-f-]{36}$/.test(nonce)
  );
}

function readOnce(path: string): LockHolder | "none" | "unreadable" {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "none";
    throw fileError(error, path);
  }
  try {
    const value: unknown = JSON.parse(text);
    return isHolder(value) ? value : "unreadable";
  } catch {
    return "unreadable";
  }
}

/** Whoever a lock file names; null if there is no file. @throws RUN_LOCKED if it stays unreadable */
function readHolder(path: string): LockHolder | null {
  for (let look = 0; look < UNREADABLE_LOOKS; look++) {
    const holder = readOnce(path);
    if (holder === "none") return null;
    if (holder !== "unreadable") return holder;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, UNREADABLE_WAIT_MS);
  }
  throw new HeirloomError("RUN_LOCKED", "expected a lock that names its holder, found something else", {
    where: path,
    hint: "if no process works on the run, delete this file",
  });
}

/** Makes `path` with what `temporary` holds, unless it exists. @returns false if it does */
function createExclusively(temporary: string, path: string): boolean {
  try {
    linkSync(temporary, path); // appears with its content, or not at all
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EEXIST") return false;
    if (code === "ENOENT") throw writeError(error, path);
  }
  try {
    copyFileSync(temporary, path, constants.COPYFILE_EXCL); // a file system without hard links
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw writeError(error, path);
  }
}

function refusal(holder: LockHolder, state: "alive" | "elsewhere", path: string): HeirloomError {
  const { pid, since, heirloom } = holder;
  const facts = { where: path, details: { pid, since, heirloom, elsewhere: state === "elsewhere" } };
  if (state === "elsewhere")
    return new HeirloomError(
      "RUN_LOCKED",
      `expected no other process on this run, found process ${pid} of another machine, since ${since}`,
      {
        ...facts,
        hint: `if it does not run any more, delete ${path}`,
      },
    );
  return new HeirloomError("RUN_LOCKED", `expected no other process on this run, found process ${pid}, since ${since}`, {
    ...facts,
    hint: `wait until it ends, or stop it with Ctrl-C (kill -INT ${pid}), which writes a checkpoint`,
  });
}

/** The process that holds a run, dead or alive; null if none. Does not wait or throw on a lock that cannot be read. */
export function lockHolder(run: string): { readonly holder: LockHolder; readonly state: "alive" | "dead" | "elsewhere" } | null {
  const holder = readOnce(join(run, RUN_FILES.lock));
  return typeof holder === "string" ? null : { holder, state: processState(holder) };
}

/** The last of the line of successors that begins with a holder: all before it are dead. */
function lastSuccessor(run: string, first: LockHolder): LockHolder {
  let last = first;
  for (;;) {
    const next = readHolder(claimPath(run, last));
    if (next === null) return last;
    last = next;
  }
}

/** What is not needed any more, or will be cleared away by the next holder, is no reason to fail. */
function removeQuietly(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch {
    // left for the next holder
  }
}

/** Removes what processes left that were killed while they asked for the lock; one that lives may still need its own. */
function clearDead(run: string): void {
  const left = readdirSync(run).filter((name) => name.startsWith(`.${RUN_FILES.lock}.`) && name.endsWith(".tmp"));
  for (const path of left.map((name) => join(run, name))) {
    const asker = readOnce(path);
    if (asker === "none") continue;
    const age = Date.now() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0);
    const isDead = asker === "unreadable" ? age > UNREADABLE_WAIT_MS * UNREADABLE_LOOKS : processState(asker) === "dead";
    if (isDead) removeQuietly(path);
  }
}

function claimPath(run: string, dead: LockHolder): string {
  return join(run, `${RUN_FILES.lock}.${dead.nonce}`);
}

/** Puts `mine` into run.lock; returns the dead holder that it succeeds. */
function take(run: string, mine: string): LockHolder | null {
  const path = join(run, RUN_FILES.lock);
  for (let round = 0; round < MAX_ROUNDS; round++) {
    if (createExclusively(mine, path)) return null;
    const first = readHolder(path);
    if (first === null) continue; // released in the meantime
    const last = lastSuccessor(run, first);
    const state = processState(last);
    if (state !== "dead") throw refusal(last, state, path);
    const claim = claimPath(run, last);
    if (!createExclusively(mine, claim)) continue; // another process succeeds it
    if (readHolder(path)?.nonce !== first.nonce) {
      rmSync(claim, { force: true }); // another process succeeded it, before our claim, and has cleared its own away
      continue;
    }
    renameSync(mine, path);
    for (const name of readdirSync(run)) if (name.startsWith(`${RUN_FILES.lock}.`)) removeQuietly(join(run, name));
    return first;
  }
  throw new HeirloomError("RUN_LOCKED", "expected to get the run's lock, but other processes took it each time", { where: path });
}

/** Makes a folder; returns what had to be made, the deepest first. */
function makeFolder(path: string): string[] {
  let top: string | undefined;
  try {
    top = mkdirSync(path, { recursive: true });
  } catch (error) {
    throw writeError(error, path);
  }
  const made: string[] = [];
  for (let at = path; top !== undefined && at.length >= top.length; at = dirname(at)) made.push(at);
  return made;
}

function removeEmpty(folders: readonly string[]): void {
  for (const folder of folders) {
    try {
      rmdirSync(folder);
    } catch {
      return; // in use, and so are those above it
    }
  }
}

const held = new Set<RunLock>();

/** A process that ends without having released its locks, by process.exit() for one, releases them now. */
function releaseAll(): void {
  for (const lock of held) lock.release();
}

/**
 * The right to write into a run folder: one process at a time has it. Take it in
 * the thread that lives as long as the run.
 *
 * A living holder's lock is removed by nobody else. A dead holder is succeeded: a
 * file named after its nonce, which can be made only once, says who succeeds it,
 * and only that process may put its own lock in the dead one's place; if it dies
 * before it has, it is succeeded in the same way.
 */
export class RunLock {
  /** The run folder. */
  readonly run: string;
  /** The dead holder that was succeeded; null if the run was free. */
  readonly recovered: LockHolder | null;
  readonly #nonce: string;
  readonly #made: readonly string[];

  private constructor(run: string, nonce: string, recovered: LockHolder | null, made: readonly string[]) {
    this.run = run;
    this.#nonce = nonce;
    this.recovered = recovered;
    this.#made = made;
    if (held.size === 0) process.on("exit", releaseAll);
    held.add(this);
  }

  /**
   * Takes the lock of a run; its folder is made if need be.
   *
   * @param heirloom version, for whoever finds the lock
   * @throws RUN_LOCKED naming the process that holds it; WRITE_FAILED, DISK_FULL
   */
  static acquire(run: string, heirloom: string): RunLock {
    return RunLock.#acquire(run, heirloom, makeFolder(run));
  }

  /** Makes the folder of a new run, under an id that no other has, and takes its lock. */
  static acquireNew(output: string, now: Date, heirloom: string): { readonly id: string; readonly lock: RunLock } {
    const made = makeFolder(output);
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const id = newRunId(now);
      const run = join(output, id);
      try {
        mkdirSync(run);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === "EEXIST") continue;
        removeEmpty(made);
        throw writeError(error, run);
      }
      return { id, lock: RunLock.#acquire(run, heirloom, [run, ...made]) };
    }
    throw new InternalError("no free id was found for a new run", { where: output });
  }

  static #acquire(run: string, heirloom: string, made: readonly string[]): RunLock {
    const nonce = randomUUID();
    const since = new Date().toISOString();
    const mine: LockHolder = { schemaVersion: LOCK_SCHEMA_VERSION, ...thisProcess(), heirloom, since, nonce };
    const temporary = join(run, `.${RUN_FILES.lock}.${nonce}.tmp`);
    try {
      writeFileSync(temporary, `${JSON.stringify(mine)}\n`, { flag: "wx" });
      const lock = new RunLock(run, nonce, take(run, temporary), made);
      removeQuietly(temporary);
      clearDead(run);
      return lock;
    } catch (error) {
      removeQuietly(temporary);
      removeEmpty(made);
      throw error instanceof HeirloomError ? error : writeError(error, run);
    }
  }

  /** What a user should know of how the lock was had; null if there is nothing. */
  get note(): string | null {
    if (this.recovered === null) return null;
    const { pid, since } = this.recovered;
    return `process ${pid}, which worked on this run since ${since}, ended without releasing it; its lock was taken over`;
  }

  /** Gives the run free, and removes folders that were made for it and stayed empty. Harmless if done twice. */
  release(): void {
    if (!held.delete(this)) return;
    if (held.size === 0) process.off("exit", releaseAll);
    const path = join(this.run, RUN_FILES.lock);
    const holder = readOnce(path);
    if (typeof holder !== "string" && holder.nonce === this.#nonce) removeQuietly(path);
    removeEmpty(this.#made);
  }
}
