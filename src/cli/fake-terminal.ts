import type { Terminal } from "./terminal/index.ts";

/** A terminal for tests: keeps what was written, and can be interrupted. */
export interface FakeTerminal extends Terminal {
  out(): string;
  err(): string;
  /** Ctrl-C. */
  interrupt(): void;
  listeners(): number;
  readonly exited: number | undefined;
}

export interface FakeTerminalOptions {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly env?: Readonly<Record<string, string>>;
  readonly folder?: string;
}

/** Makes a {@link FakeTerminal}; not a terminal (no colour, no redraw) unless `isTTY`. */
export function fakeTerminal({ isTTY = false, columns = 120, env = {}, folder = "/work" }: FakeTerminalOptions = {}): FakeTerminal {
  const written = { out: "", err: "" };
  const listeners = new Set<() => void>();
  let exited: number | undefined;
  const output = (to: keyof typeof written) => ({ isTTY, columns, write: (text: string) => void (written[to] += text) });
  return {
    stdout: output("out"),
    stderr: output("err"),
    env,
    folder,
    onInterrupt(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    exit(code) {
      exited ??= code;
    },
    out: () => written.out,
    err: () => written.err,
    interrupt: () => {
      for (const listener of listeners) listener();
    },
    listeners: () => listeners.size,
    get exited() {
      return exited;
    },
  };
}
