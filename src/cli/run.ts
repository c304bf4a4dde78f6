import { type Application, buildApplication, buildRouteMap, run as runStricli } from "@stricli/core";
import { HeirloomError, type Problem } from "../core/index.ts";
import { type CliContext, type Outcome, requireOutcome, viewOf } from "./command.ts";
import { COMMANDS } from "./commands/index.ts";
import { typedFlag } from "./config-flags.ts";
import { packageVersion } from "./package-info.ts";
import {
  asHeirloomError,
  errorDocument,
  escapeText,
  paint,
  renderError,
  renderJson,
  type Terminal,
  tableLimit,
  wantsColour,
  wrappedHelp,
} from "./terminal/index.ts";
import { type TypedCommand, usageTexts } from "./usage.ts";

const DESCRIPTION = `QLoRA fine-tuning for Node.js in which an adapter always continues as exactly what it was.

Examples:
  heirloom demo                          # the whole story on the bundled model, offline
  heirloom train -c run.yaml             # a new adapter
  heirloom continue runs/a -c more.yaml  # the same adapter on new data
  heirloom inspect runs/a/adapter        # what is in it, tensor by tensor

Results go to stdout, progress to stderr; --json makes the result one JSON document.`;

interface Complaints {
  readonly usage: Problem[];
  failure: unknown;
}

/** Flags as they are typed, without the dashes; those that say no included. */
function flagsOf(target: object | undefined): string[] {
  if (target === undefined || !("parameters" in target)) return [];
  const { flags = {} } = target.parameters as { readonly flags?: Readonly<Record<string, { readonly kind: string }>> };
  return Object.entries(flags).flatMap(([flag, parameter]) => {
    const canSayNo = parameter.kind === "boolean" && !("withNegated" in parameter && parameter.withNegated === false);
    return (canSayNo ? [typedFlag(flag), typedFlag(flag, false)] : [typedFlag(flag)]).map((typed) => typed.slice(2));
  });
}

/** The command that a line names, for messages: what it takes is in its own table. */
function typedCommand([name = "", ...words]: readonly string[]): TypedCommand {
  const command = Object.entries(COMMANDS).find(([known]) => known === name)?.[1];
  if (command !== undefined && !("parameters" in command)) {
    // A command of commands, as `runs show`.
    const [inner = "", ...rest] = words;
    const target = command.getRoutingTargetForInput(inner);
    const commands = command.getAllEntries().map((entry) => entry.name.original);
    return { name: target === undefined ? name : `${name} ${inner}`, commands, words: rest, flags: flagsOf(target), takesConfig: false };
  }
  return { name, commands: [], words, flags: flagsOf(command), takesConfig: Object.hasOwn(command?.parameters.aliases ?? {}, "c") };
}

/** `heirloom --help train` and `heirloom help train` ask for the help of train. */
function helpInPlace(inputs: readonly string[]): readonly string[] {
  const [first = "", ...rest] = inputs;
  return ["--help", "-h", "help"].includes(first) ? [...rest, "--help"] : inputs;
}

function application(complaints: Complaints, command: TypedCommand, colour: boolean): Application<CliContext> {
  const text = usageTexts(
    Object.keys(COMMANDS),
    command,
    (problems) => complaints.usage.push(...problems),
    (error) => {
      complaints.failure = error;
    },
  );
  const root = buildRouteMap<keyof typeof COMMANDS, CliContext>({
    routes: COMMANDS,
    docs: { brief: "QLoRA fine-tuning for Node.js", fullDescription: DESCRIPTION },
  });
  return buildApplication(root, {
    name: "heirloom",
    versionInfo: { getCurrentVersion: packageVersion },
    scanner: { caseStyle: "allow-kebab-for-camel", allowArgumentEscapeSequence: true },
    documentation: {
      caseStyle: "convert-camel-to-kebab",
      disableAnsiColor: !colour,
      useAliasInUsageLine: true,
      onlyRequiredInUsageLine: true,
    },
    localization: { text },
  });
}

/** The flag is needed before arguments are parsed: a mistyped command is reported as JSON, too. */
function asksForJson(inputs: readonly string[]): boolean {
  const end = inputs.indexOf("--");
  return inputs.slice(0, end < 0 ? inputs.length : end).includes("--json");
}

function writeError(thrown: unknown, json: boolean, terminal: Terminal): number {
  const aborted = thrown instanceof Error && thrown.name === "AbortError";
  const error = aborted ? new HeirloomError("INTERRUPTED", "interrupted", { cause: thrown }) : asHeirloomError(thrown);
  if (json) terminal.stdout.write(renderJson(errorDocument(error)));
  else terminal.stderr.write(renderError(error, paint(wantsColour(terminal.stderr, terminal.env))));
  const { HEIRLOOM_DEBUG: debug } = terminal.env;
  if (debug !== undefined && debug !== "")
    terminal.stderr.write(`${escapeText(String(error.cause instanceof Error ? error.cause.stack : error.stack))}\n`);
  return error.exitCode;
}

async function writeOutcome(outcome: Outcome, json: boolean, terminal: Terminal): Promise<number> {
  if (outcome.kind === "failure") return writeError(outcome.error, json, terminal);
  if (json) {
    terminal.stdout.write(renderJson(outcome.result));
    return outcome.exitCode;
  }
  const text = await outcome.render(viewOf(terminal));
  if (text !== "") terminal.stdout.write(text.endsWith("\n") ? text : `${text}\n`);
  return outcome.exitCode;
}

/**
 * Runs a command line (without the program's name) and returns the exit code.
 * Results go to `terminal.stdout`, progress and errors to `terminal.stderr`.
 */
export async function runCli(typed: readonly string[], terminal: Terminal): Promise<number> {
  const inputs = helpInPlace(typed);
  const json = asksForJson(inputs);
  const complaints: Complaints = { usage: [], failure: undefined };
  const printed: string[] = [];
  const colour = wantsColour(terminal.stdout, terminal.env);
  const context: CliContext = {
    process: {
      stdout: { write: (text) => printed.push(text), getColorDepth: () => (colour ? 4 : 1) },
      // Whatever stricli complains of there comes to us as typed problems.
      stderr: { write: () => undefined },
    },
    terminal,
    outcome: undefined,
  };
  try {
    await runStricli(application(complaints, typedCommand(inputs), colour), inputs, context);
    const [first, ...rest] = complaints.usage;
    if (first !== undefined) return writeError(HeirloomError.of([first, ...rest]), json, terminal);
    if (complaints.failure !== undefined) return writeError(complaints.failure, json, terminal);
    if (printed.length > 0) {
      terminal.stdout.write(wrappedHelp(printed.join(""), tableLimit(terminal.stdout, terminal.env)));
      return 0;
    }
    return await writeOutcome(requireOutcome(context.outcome), json, terminal);
  } catch (error) {
    return writeError(error, json, terminal);
  }
}
