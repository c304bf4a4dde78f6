/** What {@link endInterrupted} does to a process. */
export interface EndingProcess {
  readonly pid: number;
  readonly platform: string;
  emit(event: "exit", code: number): boolean;
  removeAllListeners(event: "exit" | "SIGINT"): unknown;
  kill(pid: number, signal: "SIGINT"): true;
  exit(code: number): void;
}

/** What a shell calls the status of a process that SIGINT (2) ended. */
const INTERRUPTED_STATUS = 130;

/**
 * Ends the process at once, as SIGINT does to one that does not listen; its status is 130.
 *
 * `process.exit` (and `reallyExit` below it) first stops the other threads and runs the destructors of native libraries. A
 * thread that is computing in one finds its JavaScript gone when the computation returns, and the library then aborts the
 * process: SIGABRT with a message of its own, in some of the runs. The signal's default action runs nothing of that.
 */
export function endInterrupted(process: EndingProcess): void {
  // Windows has no such signals: there kill() is an exit with status 1.
  if (process.platform !== "win32") {
    process.emit("exit", INTERRUPTED_STATUS); // locks are released and events written
    process.removeAllListeners("exit");
    process.removeAllListeners("SIGINT"); // with the last listener the default action is back
    process.kill(process.pid, "SIGINT");
  }
  process.exit(INTERRUPTED_STATUS); // also for process 1 of a container, which its own signals do not end
}
