import type { FlagParametersForType } from "@stricli/core";
import { HeirloomError, isHeirloomError, type Problem } from "../core/index.ts";
import type { SamplingOptions } from "../generate/index.ts";
import type { CliContext } from "./command.ts";
import { textsFlag } from "./config-flags.ts";

/** How tokens are chosen, as typed. */
export interface SamplingFlags extends Partial<SamplingOptions> {
  readonly stop?: readonly string[];
}

function number(text: string): number {
  const value = text.trim() === "" ? Number.NaN : Number(text);
  if (Number.isFinite(value)) return value;
  throw new HeirloomError("USAGE", `expected a number, found "${text}"`);
}

function numberFlag(brief: string) {
  return { kind: "parsed", parse: number, optional: true, brief, placeholder: "number" } as const;
}

/** Argument table of {@link SamplingFlags}. */
export const samplingFlags: FlagParametersForType<SamplingFlags, CliContext> = {
  temperature: numberFlag("0 takes the likeliest token each time (0; 1 if another sampling flag is given)"),
  topK: numberFlag("Only the k likeliest tokens"),
  topP: numberFlag("Only the likeliest tokens that together reach this probability"),
  minP: numberFlag("Only tokens at least this fraction as likely as the likeliest"),
  repetitionPenalty: numberFlag("Above 1: makes tokens that were there less likely"),
  presencePenalty: numberFlag("Taken off the logits of tokens in the answer"),
  frequencyPenalty: numberFlag("Taken off the logits of tokens in the answer, once for each time"),
  seed: numberFlag("Equal seeds give equal answers"),
  stop: textsFlag("Text that ends the answer; may be given several times", "text"),
};

const SAMPLING_KEYS = ["topK", "topP", "minP", "repetitionPenalty", "presencePenalty", "frequencyPenalty", "seed"] as const;
/** What only matters where tokens are drawn: whoever gives one of them does not mean the likeliest token each time. */
const DRAWS: readonly (keyof SamplingOptions)[] = ["topK", "topP", "minP", "seed"];

/** A fault under the name of the flag that was typed. */
function asTyped(problem: Problem): Problem {
  return { ...problem, where: `--${(problem.where ?? "").replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}` };
}

/**
 * The sampling that flags ask for: greedy unless one of them draws.
 *
 * @param check the engine's own, from the module that is loaded late
 * @throws SAMPLING_INVALID by the names of the flags
 */
export function samplingFrom(flags: SamplingFlags, check: (options: SamplingOptions) => void): SamplingOptions {
  const given = SAMPLING_KEYS.flatMap((key) => (flags[key] === undefined ? [] : [[key, flags[key]] as const]));
  const temperature = flags.temperature ?? (DRAWS.some((key) => flags[key] !== undefined) ? 1 : 0);
  const sampling = { temperature, ...Object.fromEntries(given) };
  try {
    check(sampling);
  } catch (error) {
    if (!isHeirloomError(error)) throw error;
    const [first, ...rest] = error.problems;
    throw HeirloomError.of([asTyped(first), ...rest.map(asTyped)]);
  }
  return sampling;
}
