/** What a check of data looks for. */
export type DataRule =
  | "unreadable-row"
  | "empty-file"
  | "too-long"
  | "no-labels"
  | "empty-turn"
  | "border-in-token"
  | "no-separator"
  | "duplicate"
  | "near-duplicate"
  | "placeholder"
  | "leakage"
  | "near-leakage"
  | "prompt-leakage";

/** One thing that is wrong, in one row or in many. */
export interface DataFinding {
  readonly rule: DataRule;
  /** error: a run would stop, or its evaluation mean nothing. */
  readonly severity: "error" | "warning";
  /** Of the first row that it was found in. */
  readonly file: string;
  readonly row: number | null;
  readonly field: string | null;
  readonly message: string;
  readonly hint: string | null;
  /** What the first such row looks like there; null where the message says it all. */
  readonly example: string | null;
  /** How often the rule says the same. */
  readonly count: number;
  /** The first places, `file:row`; with `count` beyond them. */
  readonly places: readonly string[];
}

/** All findings of a rule, of which the first are listed. */
export interface RuleCount {
  readonly rule: DataRule;
  readonly severity: "error" | "warning";
  readonly count: number;
}

/** Different messages listed of each rule: a file in which every row is wrong must not bury the rest. */
const MAX_LISTED = 20;
/** Places kept of each message: enough to look the fault up in several rows. */
const MAX_PLACES = 20;

/** What a check says of one row. */
export type RowFinding = Pick<DataFinding, "rule" | "severity" | "file" | "row" | "message"> &
  Partial<Pick<DataFinding, "field" | "hint" | "example">>;

interface Group extends DataFinding {
  count: number;
  readonly places: string[];
}

/** Collects findings, one for equal ones, and counts those that it does not list. */
export class FindingList {
  readonly #groups = new Map<string, Group>();
  readonly #counts = new Map<DataRule, RuleCount & { count: number; messages: number }>();

  add(finding: RowFinding): void {
    const { rule, severity, file, row, message } = finding;
    const counted = this.#counts.get(rule) ?? { rule, severity, count: 0, messages: 0 };
    this.#counts.set(rule, counted);
    counted.count++;
    const key = JSON.stringify([rule, message]);
    let group = this.#groups.get(key);
    if (group === undefined) {
      if (counted.messages >= MAX_LISTED) return;
      counted.messages++;
      group = { field: null, hint: null, example: null, ...finding, count: 0, places: [] };
      this.#groups.set(key, group);
    }
    group.count++;
    if (group.places.length < MAX_PLACES) group.places.push(row === null ? file : `${file}:${row}`);
  }

  /** Equal findings once, in the order in which they were first found. */
  get listed(): DataFinding[] {
    return [...this.#groups.values()];
  }

  get counts(): RuleCount[] {
    return [...this.#counts.values()].map(({ rule, severity, count }) => ({ rule, severity, count }));
  }

  get hasErrors(): boolean {
    return this.counts.some(({ severity }) => severity === "error");
  }
}
