import { formatCount } from "../../../core/index.ts";
import { diskKey, type LedgerEntry, ledgerCounts } from "../../../ledger/index.ts";
import { isHead } from "../keys.ts";
import { defineRule, type PrintedBanner, type SubjectWith } from "../types.ts";
import { tensorsText } from "../wording.ts";

const sum = (entries: readonly LedgerEntry[]): number => entries.reduce((total, { parameters }) => total + parameters, 0);

/** Which tensors a lower count leaves out, if leaving out all or some of the full copies gives exactly it. */
function frozenCopies(entries: readonly LedgerEntry[], missing: number, within: number): readonly LedgerEntry[] | null {
  const copies = entries.filter(({ role }) => role === "full_copy");
  const candidates = [copies, ...copies.map((copy) => [copy])];
  return candidates.find((some) => some.length > 0 && Math.abs(sum(some) - missing) <= within) ?? null;
}

function contradiction({ ledger, base }: SubjectWith<"adapter" | "ledger">, banner: PrintedBanner) {
  const { value, within } = banner.trainable;
  const trained = ledger.entries.filter(({ trainable }) => trainable);
  const expected = ledgerCounts(ledger).trainable;
  // Without the base it is not known whether a stored head is the embedding over again.
  const heads = sum(trained.filter(({ role, module }) => role === "full_copy" && isHead(module)));
  const accepted = base === null ? [expected, expected - heads] : [expected];
  if (accepted.some((count) => Math.abs(count - value) <= within)) return [];
  const printed = `${banner.log === null ? "" : `${banner.log}, `}line ${banner.line} says that ${formatCount(value)} parameters were trained, and the adapter stores ${formatCount(expected)}`;
  if (value === 0) return [{ message: `${printed}: everything was frozen`, tensors: trained.map(({ name }) => diskKey(name)) }];
  const frozen = frozenCopies(trained, expected - value, within);
  if (frozen === null) return [{ message: `${printed}: another adapter, or other tensors frozen` }];
  const keys = frozen.map(({ name }) => diskKey(name));
  return [
    {
      message: `${printed}: the difference is exactly the ${formatCount(sum(frozen))} of ${tensorsText(keys)}, so that ${keys.length === 1 ? "it was" : "they were"} frozen`,
      tensors: keys,
    },
  ];
}

export const bannerContradicts = defineRule({
  id: "banner-contradicts",
  severity: "error",
  meaning:
    "The number of trainable parameters that the trainer printed is not the number in the adapter's files: what was loaded for training was not what is stored.",
  remedy: "do not go on with this run; heirloom explain finds out which configurations give the printed number",
  needs: ["adapter", "ledger", "banners"],
  check(subject) {
    return subject.banners.flatMap((banner) => contradiction(subject, banner));
  },
});
