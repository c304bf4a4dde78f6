import { formatBytes, formatCount, formatSeconds } from "../../core/index.ts";
import type { LogitDifference, MergeCheck, MergeResult, WeightCheck } from "../../export/index.ts";
import type { View } from "../command.ts";
import { escapeText, type Paint, renderFacts } from "../terminal/index.ts";
import { baseDifferenceTable, figure, percent } from "./base-difference.ts";

function differenceText({ rms, maxAbs, kl, sameTop }: LogitDifference): string {
  return `rms ${figure(rms)}, largest ${figure(maxAbs)}, KL ${figure(kl)} nats, same most likely token ${percent(sameTop)}`;
}

function tieText({ before, after, reason }: MergeResult["tie"]): string {
  if (!before) return "untied, as in the base";
  return `${after ? "still tied" : "no longer tied: lm_head has weights of its own now"} (${reason})`;
}

function checkFacts(
  { tokens, merged, bound, effect, onOriginal }: MergeCheck,
  onto: MergeResult["onto"],
  paint: Paint,
): [string, string][] {
  const facts: [string, string][] = [
    ["merged against adapter", `${paint.green("agrees")}: ${differenceText(merged)}; allowed rms ${figure(bound)}, over ${tokens} tokens`],
    ["the adapter's effect", differenceText(effect)],
  ];
  if (onOriginal !== null) {
    const what =
      onto === "trained" ? "what merging onto the original weights would change" : "what merging onto the original weights changed";
    facts.push([what, differenceText(onOriginal)]);
  }
  if (effect.rms <= bound)
    facts.push(["", paint.yellow("the adapter's effect is within what rounding explains: the comparison cannot tell it from its base")]);
  return facts;
}

function weightFact({ tensors, rows, largestShareOfRounding }: WeightCheck, paint: Paint): [string, string] {
  const what = `${formatCount(rows)} rows of ${formatCount(tensors)} tensors evaluated again`;
  return [
    "merged weights",
    `${paint.green("agree")} with the formula: ${what}, ${percent(largestShareOfRounding)} of what rounding explains at most`,
  ];
}

/** What a merge made, and how it was checked. */
export function mergeView(result: MergeResult, { paint }: View): string {
  const { output, onto, dtype, tensors, changed, bytes, files, tie, rounding, difference, check, weightCheck, notes, seconds } = result;
  const weights = files.filter((file) => file.endsWith(".safetensors")).length;
  const facts: [string, string][] = [
    ["merged", output],
    ["adapter", result.adapter],
    ["base", `${result.base}, ${onto === "trained" ? "as trained" : "original weights"}`],
    [
      "weights",
      `${formatCount(changed)} of ${formatCount(tensors)} tensors changed; ${formatBytes(bytes)} in ${dtype}, ${weights} file${weights === 1 ? "" : "s"}`,
    ],
    ["embedding and head", tieText(tie)],
    ["rounding to the dtype", `${figure(rounding.maxAbs)} at most; ${percent(rounding.shareOfChange)} of the adapter's own change`],
    ...(check === null ? [] : checkFacts(check, onto, paint)),
    ...(weightCheck === null ? [] : [weightFact(weightCheck, paint)]),
    ["time", formatSeconds(seconds)],
  ];
  const parts = [renderFacts(facts, paint)];
  if (difference !== null) parts.push(baseDifferenceTable(difference, "base as trained against original", paint));
  return [...parts, ...notes.map((note) => `${paint.yellow("note")} ${escapeText(note)}`)].join("\n\n");
}
