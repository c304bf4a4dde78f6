import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { type EndingProcess, endInterrupted } from "./end-process.ts";

const LOADER = fileURLToPath(new URL("../../tools/register-typescript.mjs", import.meta.url));

/** A process that notes what is done to it, and survives. */
function fakeProcess(platform: string): { done: string[]; process: EndingProcess } {
  const done: string[] = [];
  const note = (...words: readonly (string | number)[]): true => done.push(words.join(" ")) > 0 || true;
  const process: EndingProcess = {
    pid: 7,
    platform,
    emit: (event, code) => note("emit", event, code),
    removeAllListeners: (event) => note("forget", event),
    kill: (pid, signal) => note("kill", pid, signal),
    exit: (code) => void note("exit", code),
  };
  return { done, process };
}

describe("an interrupted process", () => {
  it("tells its listeners, once, and is ended by the signal's default action; by exit() only if that does not end it", () => {
    const { done, process } = fakeProcess("linux");
    endInterrupted(process);
    expect(done).toEqual(["emit exit 130", "forget exit", "forget SIGINT", "kill 7 SIGINT", "exit 130"]);
  });

  it("exits where there are no signals", () => {
    const { done, process } = fakeProcess("win32");
    endInterrupted(process);
    expect(done).toEqual(["exit 130"]);
  });

  it.skipIf(process.platform === "win32")("has the status 130 for a shell, while a thread of it computes", () => {
    const file = fileURLToPath(new URL("fixtures/interrupted-process.ts", import.meta.url));
    const { stdout, stderr } = spawnSync("sh", ["-c", '"$0" --import "$1" "$2"; echo "status $?"', process.execPath, LOADER, file], {
      encoding: "utf8",
    });
    expect(stdout).toBe("released 130\nstatus 130\n");
    expect(stderr).toBe("");
  });
});
