/** A stream that text goes to. */
export interface Output {
  write(text: string): void;
  readonly isTTY: boolean;
  /** Width in characters, where known. */
  readonly columns?: number | undefined;
}

/** What the program has around it: streams, environment, signals. Tests pass fakes. */
export interface Terminal {
  readonly stdout: Output;
  readonly stderr: Output;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly folder: string;
  /** Calls `listener` on each Ctrl-C or request to end, until the returned function is called. */
  onInterrupt(listener: () => void): () => void;
  /** Ends the process at once. */
  exit(code: number): void;
}

/** Colour only on a terminal that has not asked for none (https://no-color.org). */
export function wantsColour(output: Output, env: Terminal["env"]): boolean {
  const { NO_COLOR: noColour, TERM: terminal } = env;
  return output.isTTY && (noColour === undefined || noColour === "") && terminal !== "dumb";
}
