import { formatBytes, formatCount, formatSeconds } from "../../core/index.ts";
import type { QuantizeResult } from "../../export/index.ts";
import type { View } from "../command.ts";
import { renderFacts } from "../terminal/index.ts";
import { baseDifferenceTable } from "./base-difference.ts";

/** What was written in 4 bits, and what that cost. */
export function quantizeView(result: QuantizeResult, { paint }: View): string {
  const { output, model, doubleQuant, quantized, kept, bytes, difference, seconds } = result;
  const facts = renderFacts(
    [
      ["quantized", output],
      ["model", model],
      ["weights", `${formatCount(quantized)} in NF4${doubleQuant ? ", scales in 8 bits" : ""}; ${formatCount(kept)} as they were`],
      ["size", `${formatBytes(bytes.before)} → ${formatBytes(bytes.after)}`],
      ["time", formatSeconds(seconds)],
    ],
    paint,
  );
  return `${facts}\n\n${baseDifferenceTable(difference, "NF4 against the original", paint)}`;
}
