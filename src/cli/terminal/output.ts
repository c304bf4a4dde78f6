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
  /** The lines of standard input as they come, to its end. */
  lines(): AsyncIterable<string>;
  /** Ends the process at once, as a signal does. */
  endInterrupted(): void;
}

/** Narrower than this no table can be read. */
const MIN_COLUMNS = 20;

/** Width that tables keep to: that of the terminal, or what COLUMNS asks for; null for a file or a pipe, which have none. */
export function tableLimit(output: Output, { COLUMNS: asked }: Terminal["env"]): number | null {
  const columns = asked !== undefined && /^[0-9]{1,4}$/.test(asked) ? Number(asked) : output.isTTY ? output.columns : undefined;
  return columns === undefined || columns < MIN_COLUMNS ? null : columns;
}

/** Colour only on a terminal that has not asked for none (https://no-color.org). */
export function wantsColour(output: Output, env: Terminal["env"]): boolean {
  const { NO_COLOR: noColour, TERM: terminal } = env;
  return output.isTTY && (noColour === undefined || noColour === "") && terminal !== "dumb";
}
