import {
  AliasNotFoundError,
  type ApplicationText,
  ArgumentParseError,
  ArgumentScannerError,
  EnumValidationError,
  FlagNotFoundError,
  formatMessageForArgumentScannerError,
  text_en,
} from "@stricli/core";
import { isHeirloomError, nearestName, type Problem } from "../core/index.ts";

const HELP_HINT = "run heirloom --help for the list of commands, or heirloom COMMAND --help for one";

function nearestHint(nearest: string | undefined): string {
  return nearest === undefined ? HELP_HINT : `did you mean ${nearest}?`;
}

function argumentProblems(thrown: unknown): readonly Problem[] {
  if (thrown instanceof ArgumentParseError && isHeirloomError(thrown.exception)) {
    return thrown.exception.problems.map((problem) => ({ where: `--${thrown.externalFlagNameOrPlaceholder}`, ...problem }));
  }
  if (thrown instanceof FlagNotFoundError) {
    const near = (nearestName(thrown.input, thrown.corrections) ?? thrown.corrections[0])?.replace(
      /[A-Z]/g,
      (letter) => `-${letter.toLowerCase()}`,
    );
    return [
      {
        code: "USAGE",
        message: `unknown flag --${thrown.input}`,
        hint: nearestHint(near === undefined ? undefined : `--${near}`),
        ...(near === undefined ? {} : { details: { nearest: `--${near}` } }),
      },
    ];
  }
  if (thrown instanceof AliasNotFoundError) return [{ code: "USAGE", message: `unknown flag -${thrown.input}`, hint: HELP_HINT }];
  if (thrown instanceof EnumValidationError) {
    const near = nearestName(thrown.input, thrown.values);
    return [
      {
        code: "USAGE",
        message: `--${thrown.externalFlagName}: expected one of ${thrown.values.join(", ")}, found "${thrown.input}"`,
        hint: nearestHint(near),
      },
    ];
  }
  const message = thrown instanceof ArgumentScannerError ? formatMessageForArgumentScannerError(thrown, {}) : String(thrown);
  return [{ code: "USAGE", message, hint: HELP_HINT }];
}

/** Stricli's texts, but every complaint is also handed on as a typed problem. */
export function usageTexts(
  commandNames: readonly string[],
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
      const nearest = nearestName(input, commandNames);
      report([
        {
          code: "USAGE",
          message: `unknown command "${input}"`,
          hint: nearestHint(nearest === undefined ? undefined : `heirloom ${nearest}`),
          ...(nearest === undefined ? {} : { details: { nearest } }),
        },
      ]);
      return "";
    },
    exceptionWhileParsingArguments(thrown) {
      report(argumentProblems(thrown));
      return "";
    },
    exceptionWhileLoadingCommandFunction: failed,
    exceptionWhileLoadingCommandContext: failed,
    exceptionWhileRunningCommand: failed,
    exceptionWhileRunningIntegrationHook: ({ exception }) => failed(exception),
    exceptionWhileRunningIntegrationFlag: ({ exception }) => failed(exception),
  };
}
