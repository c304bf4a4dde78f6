import type { Ledger } from "../../ledger/index.ts";
import { type Bf16Rounding, bf16Rounding } from "./rounding.ts";
import type { PlannedGroup, PlanWarning } from "./types.ts";

/** Below this share a bf16 copy still learns in most of its elements, so nothing is said. */
const WORTH_SAYING = 0.5;

/** The loss by rounding for each group that holds full copies. */
export function roundingOf(
  ledger: Ledger,
  groups: readonly PlannedGroup[],
  raw: Readonly<Record<string, unknown>>,
): (Bf16Rounding & { readonly group: string })[] {
  const withCopies = new Set(ledger.entries.flatMap(({ role, group }) => (role === "full_copy" && group !== null ? [group] : [])));
  return groups
    .filter(({ name }) => withCopies.has(name))
    .map(({ name, learningRate }) => ({ group: name, ...bf16Rounding(learningRate, raw) }));
}

/** Says where bf16 copies would stand still under nearest rounding. With fp32 masters there is nothing to lose. */
export function roundingWarnings(
  rounding: readonly (Bf16Rounding & { readonly group: string })[],
  ledger: Ledger,
  bf16Copies: boolean,
): PlanWarning[] {
  if (!bf16Copies) return [];
  return rounding
    .filter(({ lostShare }) => lostShare >= WORTH_SAYING)
    .map(({ group, update, threshold, lostShare }) => ({
      code: "BF16_ROUNDING",
      message: `the bf16 copies of group "${group}" get updates of about ${update}: rounded to the nearest bf16 value, every weight of ${threshold.toPrecision(3)} or more (about ${Math.round(100 * lostShare)} % of them) would never move`,
      hint: "heirloom rounds them stochastically, which keeps the updates on average; to go on in a tool that keeps bf16 parameters and rounds to nearest, train with adapter.fullCopyDtype=fp32 there",
      tensors: ledger.entries.filter((entry) => entry.role === "full_copy" && entry.group === group).map(({ name }) => name),
    }));
}
