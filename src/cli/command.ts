import { buildCommand, type Command, type CommandContext, type FlagParametersForType, type TypedPositionalParameters } from "@stricli/core";
import { InternalError } from "../core/index.ts";
import {
  asHeirloomError,
  type Paint,
  type Progress,
  paint,
  progressOn,
  silentProgress,
  type Terminal,
  tableLimit,
  wantsColour,
} from "./terminal/index.ts";

/** What a command has while it runs. */
export interface Session {
  /** Folder that relative paths on the command line start from. */
  readonly folder: string;
  /** Set off by Ctrl-C: write a checkpoint and stop. */
  readonly signal: AbortSignal;
  readonly progress: Progress;
  /** True if the result goes out as JSON. */
  readonly json: boolean;
  /** The environment; and for commands that people talk with: their input, what is said beside the result, and Ctrl-C (see `handlesInterrupts`). */
  readonly terminal: Pick<Terminal, "lines" | "stderr" | "onInterrupt" | "endInterrupted" | "env">;
  /** Writes to stdout at once, for output that people want as it comes; does nothing with `--json`. */
  stream(text: string): void;
}

/** What the renderer of a result may use. */
export interface View {
  readonly paint: Paint;
  readonly columns: number;
  /** Width that tables keep to; null where the output is no terminal and nobody asked for a width: there each row is one line. */
  readonly limit?: number | null;
}

/** How a command ended: what it gives back, how to show it, and the exit code. */
export type Outcome =
  | { readonly kind: "result"; readonly result: object; readonly exitCode: number; render(view: View): string | Promise<string> }
  | { readonly kind: "failure"; readonly error: unknown };

/** Stricli's context: its streams are captured, ours are in `terminal`. */
export interface CliContext extends CommandContext {
  readonly terminal: Terminal;
  outcome: Outcome | undefined;
}

interface SharedFlags {
  readonly json?: boolean;
  readonly quiet?: boolean;
}

/** A command as data: its argument table, what it does, and how its result reads. */
export interface CommandSpec<FLAGS extends object, ARGS extends readonly unknown[], RESULT extends object> {
  /** One line for the list of commands. */
  readonly brief: string;
  readonly description?: string;
  /** Lines that work as they stand, without the program's name. At least one. */
  readonly examples: readonly [Example, ...Example[]];
  readonly flags: FlagParametersForType<FLAGS, CliContext>;
  readonly aliases?: Readonly<Record<string, keyof FLAGS & string>>;
  readonly positional: TypedPositionalParameters<ARGS, CliContext>;
  run(flags: FLAGS, args: ARGS, session: Session): Promise<RESULT>;
  /** The result for people; an empty text prints nothing. A view that needs more than this folder is imported when it is called. */
  render(result: RESULT, view: View, flags: FLAGS): string | Promise<string>;
  /** What goes to stderr beside the JSON document, for those who read the log and not the result. */
  besideJson?(result: RESULT, flags: FLAGS): Promise<string>;
  /** True if Ctrl-C makes it write a checkpoint before it stops. @defaultValue false */
  readonly writesCheckpoint?: boolean;
  /** True if Ctrl-C is for the command itself, which listens on the terminal; `signal` never fires then. @defaultValue false */
  readonly handlesInterrupts?: boolean;
  /** @defaultValue 0 */
  exitCode?(result: RESULT): number;
}

export interface Example {
  readonly line: string;
  readonly what: string;
}

const SHARED_FLAGS = {
  json: { kind: "boolean", brief: "Print one JSON document on stdout instead of text", optional: true, withNegated: false },
  quiet: { kind: "boolean", brief: "Show no progress", optional: true, withNegated: false },
} as const;

const STOP_NOTE = "stopping; Ctrl-C again ends at once";
const CHECKPOINT_NOTE = "stopping after this update; a checkpoint is written first. Ctrl-C again ends at once, without it";

/** Runs `work` with a signal that the first Ctrl-C sets off; the second one ends the process. */
async function interruptible<T>(
  terminal: Terminal,
  progress: Progress,
  note: string,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const release = terminal.onInterrupt(() => {
    if (controller.signal.aborted) {
      progress.end();
      terminal.endInterrupted();
      return;
    }
    progress.note(note);
    controller.abort();
  });
  try {
    return await work(controller.signal);
  } finally {
    release();
    progress.end();
  }
}

async function execute<FLAGS extends object, ARGS extends readonly unknown[], RESULT extends object>(
  spec: CommandSpec<FLAGS, ARGS, RESULT>,
  terminal: Terminal,
  flags: FLAGS & SharedFlags,
  args: ARGS,
): Promise<Outcome> {
  const { json = false, quiet = false, ...own } = flags;
  const progress = quiet ? silentProgress : progressOn(terminal.stderr, terminal.env);
  const stream = json ? () => undefined : (text: string) => terminal.stdout.write(text);
  try {
    // json and quiet are ours; what is left has the type that the command's table gives.
    const flagsOfCommand = own as unknown as FLAGS;
    const run = (signal: AbortSignal): Promise<RESULT> =>
      spec.run(flagsOfCommand, args, { folder: terminal.folder, signal, progress, json, terminal, stream });
    const result =
      spec.handlesInterrupts === true
        ? await run(new AbortController().signal)
        : await interruptible(terminal, progress, spec.writesCheckpoint === true ? CHECKPOINT_NOTE : STOP_NOTE, run);
    const beside = json ? ((await spec.besideJson?.(result, flagsOfCommand)) ?? "") : "";
    if (beside !== "") terminal.stderr.write(`${beside}\n`);
    return { kind: "result", result, exitCode: spec.exitCode?.(result) ?? 0, render: (view) => spec.render(result, view, flagsOfCommand) };
  } catch (error) {
    return { kind: "failure", error };
  }
}

function fullDescription({
  brief,
  description,
  examples,
}: Pick<CommandSpec<object, [], object>, "brief" | "description" | "examples">): string {
  const width = Math.max(...examples.map(({ line }) => line.length));
  const lines = examples.map(({ line, what }) => `  heirloom ${line.padEnd(width)}  # ${what}`);
  return `${description ?? `${brief}.`}\n\nExamples:\n${lines.join("\n")}`;
}

/** Makes a stricli command of a {@link CommandSpec}; `--json` and `--quiet` come with it. */
export function defineCommand<FLAGS extends object, ARGS extends readonly unknown[], RESULT extends object>(
  spec: CommandSpec<FLAGS, ARGS, RESULT>,
): Command<CliContext> {
  return buildCommand<FLAGS & SharedFlags, ARGS, CliContext>({
    docs: { brief: spec.brief, fullDescription: fullDescription(spec) },
    // The two tables are typed apart; stricli's type of their union cannot be inferred for a generic FLAGS.
    parameters: {
      flags: { ...spec.flags, ...SHARED_FLAGS },
      positional: spec.positional,
      ...(spec.aliases === undefined ? {} : { aliases: spec.aliases }),
    } as never,
    async func(this: CliContext, flags, ...args) {
      this.outcome = await execute(spec, this.terminal, flags, args);
    },
  });
}

/** The view of a stream: colour and width. */
export function viewOf(terminal: Terminal): View {
  const limit = tableLimit(terminal.stdout, terminal.env);
  return { paint: paint(wantsColour(terminal.stdout, terminal.env)), columns: limit ?? terminal.stdout.columns ?? 80, limit };
}

/** The outcome of a command that came to its end; a missing one is a fault of ours. */
export function requireOutcome(outcome: Outcome | undefined): Outcome {
  return outcome ?? { kind: "failure", error: asHeirloomError(new InternalError("the command ended without a result")) };
}
