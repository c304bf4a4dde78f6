import {
  AliasNotFoundError,
  type ApplicationText,
  ArgumentParseError,
  ArgumentScannerError,
  EnumValidationError,
  FlagNotFoundError,
  formatMessageForArgumentScannerError,
  text_en,
  UnexpectedPositionalError,
  UnsatisfiedFlagError,
  UnsatisfiedPositionalError,
} from "@stricli/core";
import { isHeirloomError, nearestName, type Problem } from "../core/index.ts";
import { typedFlag } from "./config-flags.ts";

const HELP_HINT = "run heirloom --help for the list of commands, or heirloom COMMAND --help for one";

function nearestHint(nearest: string | undefined, otherwise = HELP_HINT): string {
  return nearest === undefined ? otherwise : `did you mean ${nearest}?`;
}

/** The command that a line is for, for messages. */
export interface TypedCommand {
  readonly name: string;
  /** Its flags as they are typed, without the dashes; those that say no included. */
  readonly flags: readonly string[];
  /** Whether it takes a run file. */
  readonly takesConfig: boolean;
  /** Those that it is made of, as `runs` is. */
  readonly commands: readonly string[];
  /** The words after the command's name. */
  readonly words: readonly string[];
}

/** Flags that other commands, or other tools, have under another name. */
const SAME_MEANING: readonly (readonly string[])[] = [
  ["rows", "limit", "count", "head"],
  ["from", "offset", "skip", "start"],
];

function usage(message: string, hint: string, nearest?: string): readonly Problem[] {
  return [{ code: "USAGE", message, hint, ...(nearest === undefined ? {} : { details: { nearest } }) }];
}

/** An argument too many: a file is usually meant for a flag. */
function surplusArgument(found: string, most: number, { name, takesConfig }: TypedCommand, help: string): readonly Problem[] {
  const takes = most === 0 ? "no argument" : most === 1 ? "one argument" : `${most} arguments`;
  const message = `expected ${takes} of heirloom ${name}, found ${most === 0 ? "" : "also "}"${found}"`;
  if (takesConfig && /\.(ya?ml|json)$/.test(found)) return usage(message, `did you mean -c ${found}?`, "--config");
  if (takesConfig && found.endsWith(".jsonl")) return usage(message, `did you mean --set data.train=${found}?`, "--set");
  return usage(message, help);
}

function argumentProblems(thrown: unknown, command: TypedCommand): readonly Problem[] {
  const help = `heirloom ${command.name} --help says what it takes, with examples`;
  if (thrown instanceof ArgumentParseError && isHeirloomError(thrown.exception)) {
    return thrown.exception.problems.map((problem) => ({ where: `--${thrown.externalFlagNameOrPlaceholder}`, ...problem }));
  }
  if (thrown instanceof FlagNotFoundError) {
    // Stricli's own corrections know of no --no-….
    const same = SAME_MEANING.find((names) => names.includes(thrown.input))?.find((name) => command.flags.includes(name));
    const near = same ?? nearestName(thrown.input, command.flags) ?? thrown.corrections[0];
    const flag = near === undefined ? undefined : typedFlag(near);
    return usage(`unknown flag --${thrown.input}`, nearestHint(flag, help), flag);
  }
  if (thrown instanceof AliasNotFoundError) return usage(`unknown flag -${thrown.input}`, help);
  if (thrown instanceof EnumValidationError) {
    const message = `--${thrown.externalFlagName}: expected one of ${thrown.values.join(", ")}, found "${thrown.input}"`;
    return usage(message, nearestHint(nearestName(thrown.input, thrown.values), help));
  }
  if (thrown instanceof UnexpectedPositionalError) return surplusArgument(thrown.input, thrown.expectedCount, command, help);
  if (thrown instanceof UnsatisfiedPositionalError) return usage(`heirloom ${command.name} needs an argument: ${thrown.placeholder}`, help);
  if (thrown instanceof UnsatisfiedFlagError) {
    const flag = typedFlag(thrown.externalFlagName);
    // Stricli has one error for a flag that is missing and for one without its value, which must be the last word then.
    const last = command.words.at(-1) ?? "";
    const hasNoValue = thrown.nextFlagName !== undefined || last === flag || /^-[a-z]$/.test(last);
    const message = hasNoValue ? `${flag} needs a value` : `heirloom ${command.name} needs ${flag}`;
    return usage(message, help);
  }
  return usage(thrown instanceof ArgumentScannerError ? formatMessageForArgumentScannerError(thrown, {}) : String(thrown), help);
}

function unknownCommand(input: string, commandNames: readonly string[], { name }: TypedCommand): readonly Problem[] {
  const nearest = nearestName(input, commandNames);
  if (input === name)
    return usage(`unknown command "${input}"`, nearestHint(nearest === undefined ? undefined : `heirloom ${nearest}`), nearest);
  const hint = nearestHint(nearest === undefined ? undefined : `heirloom ${name} ${nearest}`, `heirloom ${name} --help lists what it has`);
  return usage(`heirloom ${name} has no command "${input}"`, hint, nearest);
}

/** Stricli's texts, but every complaint is also handed on as a typed problem. */
export function usageTexts(
  commandNames: readonly string[],
  command: TypedCommand,
  report: (problems: readonly Problem[]) => void,
  fail: (error: unknown) => void,
): ApplicationText {
  const failed = (error: unknown): string => {
    fail(error);
    return "";
  };
  return {
    ...text_en,
    headers: { usage: "Usage", aliases: "Aliases", commands: "Commands", flags: "Flags", arguments: "Arguments" },
    briefs: {
      ...text_en.briefs,
      help: "Print this help",
      version: "Print the version",
      argumentEscapeSequence: "Everything after it is an argument, not a flag",
    },
    noCommandRegisteredForInput({ input }) {
      report(unknownCommand(input, command.name === input ? commandNames : command.commands, command));
      return "";
    },
    exceptionWhileParsingArguments(thrown) {
      report(argumentProblems(thrown, command));
      return "";
    },
    exceptionWhileLoadingCommandFunction: failed,
    exceptionWhileLoadingCommandContext: failed,
    exceptionWhileRunningCommand: failed,
    exceptionWhileRunningIntegrationHook: ({ exception }) => failed(exception),
    exceptionWhileRunningIntegrationFlag: ({ exception }) => failed(exception),
  };
}
