/** What a check of data looks for. */
export type DataRule =
  | "unreadable-row"
  | "empty-file"
  | "too-long"
  | "no-labels"
  | "empty-turn"
  | "duplicate"
  | "near-duplicate"
  | "placeholder"
  | "leakage"
  | "near-leakage"
  | "prompt-leakage";

/** One thing that is wrong. */
export interface DataFinding {
  readonly rule: DataRule;
  /** error: a run would stop, or its evaluation mean nothing. */
  readonly severity: "error" | "warning";
  readonly file: string;
  readonly row: number | null;
  readonly field: string | null;
  readonly message: string;
  readonly hint: string | null;
}

/** All findings of a rule, of which the first are listed. */
export interface RuleCount {
  readonly rule: DataRule;
  readonly severity: "error" | "warning";
  readonly count: number;
}

/** Listed of each rule: a file in which every row is wrong must not bury the rest. */
const MAX_LISTED = 20;

/** Collects findings, and counts those that it does not list. */
export class FindingList {
  readonly listed: DataFinding[] = [];
  readonly #counts = new Map<DataRule, RuleCount>();

  add(finding: Omit<DataFinding, "field" | "hint"> & { readonly field?: string | null; readonly hint?: string | null }): void {
    const count = (this.#counts.get(finding.rule)?.count ?? 0) + 1;
    this.#counts.set(finding.rule, { rule: finding.rule, severity: finding.severity, count });
    if (count <= MAX_LISTED) this.listed.push({ field: null, hint: null, ...finding });
  }

  get counts(): RuleCount[] {
    return [...this.#counts.values()];
  }

  get hasErrors(): boolean {
    return this.counts.some(({ severity }) => severity === "error");
  }
}
