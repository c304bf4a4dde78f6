import type { Hypothesis } from "./hypothesis.ts";

/** What an adapter is, apart from what is trained of it; null if the numbers do not tell. */
function identity({ method, rank, targets, layers, fullCopies, bias, counting }: Hypothesis): string | null {
  if (rank === null) return null;
  const copies = fullCopies.map(({ state, shared }) => [state !== "absent", shared]);
  return JSON.stringify([method, rank, targets, layers?.count, copies, bias, counting]);
}

/** The most ordinary exact hypothesis of each adapter. */
function byIdentity(hypotheses: readonly Hypothesis[]): Map<string, Hypothesis> {
  const found = new Map<string, Hypothesis>();
  for (const hypothesis of hypotheses) {
    const key = hypothesis.exact ? identity(hypothesis) : null;
    if (key !== null && !found.has(key)) found.set(key, hypothesis);
  }
  return found;
}

/** The adapters that print every one of the banners, in some state each; the most ordinary first. */
export function sameAdapter(explanations: readonly { readonly hypotheses: readonly Hypothesis[] }[]): Hypothesis[][] {
  const [first, ...others] = explanations.map(({ hypotheses }) => byIdentity(hypotheses));
  const rows = [...(first ?? [])].flatMap(([key, hypothesis]) => {
    const row = [hypothesis, ...others.flatMap((found) => found.get(key) ?? [])];
    return row.length === explanations.length ? [row] : [];
  });
  const points = (row: readonly Hypothesis[]) => row.reduce((sum, { unusualness }) => sum + unusualness, 0);
  return rows.sort((a, b) => points(a) - points(b));
}
