#!/usr/bin/env node
import { createInterface } from "node:readline";
import { endInterrupted } from "./end-process.ts";
import { runCli } from "./run.ts";
import type { Output, Terminal } from "./terminal/index.ts";

function outputOf(stream: NodeJS.WriteStream): Output {
  return {
    write: (text) => void stream.write(text),
    isTTY: stream.isTTY === true,
    get columns() {
      return stream.columns;
    },
  };
}

const terminal: Terminal = {
  stdout: outputOf(process.stdout),
  stderr: outputOf(process.stderr),
  env: process.env,
  folder: process.cwd(),
  onInterrupt(listener) {
    process.on("SIGINT", listener);
    process.on("SIGTERM", listener);
    return () => {
      process.off("SIGINT", listener);
      process.off("SIGTERM", listener);
    };
  },
  // The terminal's own line editing, so that Ctrl-C stays a signal.
  lines: () => createInterface({ input: process.stdin, terminal: false }),
  endInterrupted: () => endInterrupted(process),
};

// `heirloom inspect … | head` closes the pipe early; that is no fault.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0);
  throw error;
});

process.exitCode = await runCli(process.argv.slice(2), terminal);
