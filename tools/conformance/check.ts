// What a check is, and what comes of one.
import { isHeirloomError } from "../../src/core/index.ts";

/** The kinds of checks, as `--only SET/CASE:CHECK` names them; `values` are codecs and readers, compared number by number. */
export const CHECK_KINDS = ["values", "ledger", "logits", "gradients", "training", "merge"] as const;

/** One of {@link CHECK_KINDS}. */
export type CheckKind = (typeof CHECK_KINDS)[number];

/** One comparison: the largest error found, and how large it may be. */
export interface Measure {
  readonly what: string;
  readonly error: number;
  readonly tolerance: number;
  /** The first difference, where the number alone does not say it. */
  readonly detail?: string;
}

/** What a check gives: its comparisons, or why it cannot be made. */
export type Finding = readonly Measure[] | { readonly unsupported: string };

/** One check of one case, not yet run. */
export interface Check {
  readonly case: string;
  readonly kind: CheckKind;
  run(): Promise<Finding>;
}

/** A set of vectors that was found, with its checks. */
export interface VectorSet {
  readonly name: string;
  readonly checks: readonly Check[];
}

/** What came of a check. */
export interface Result {
  readonly set: string;
  readonly case: string;
  readonly check: CheckKind;
  readonly status: "pass" | "fail" | "unsupported";
  readonly measures: readonly Measure[];
  /** Why it is unsupported, or what went wrong besides the numbers. */
  readonly reason: string | null;
  readonly seconds: number;
}

/** The codes by which the library refuses what it does not implement, and says so by name. */
const REFUSALS: readonly string[] = ["ARCHITECTURE_UNSUPPORTED", "ADAPTER_UNSUPPORTED", "QUANTIZATION_UNSUPPORTED"];

/** True if the error is within the tolerance; NaN is not. */
export function holds({ error, tolerance }: Measure): boolean {
  return error <= tolerance;
}

/** The comparison that is nearest to its tolerance, or furthest beyond it. */
export function worstOf(measures: readonly Measure[]): Measure | undefined {
  const strain = (measure: Measure): number => {
    if (Number.isNaN(measure.error)) return Number.POSITIVE_INFINITY;
    if (measure.tolerance > 0) return measure.error / measure.tolerance;
    return measure.error === 0 ? 0 : Number.POSITIVE_INFINITY;
  };
  return measures.reduce<Measure | undefined>(
    (worst, measure) => (worst === undefined || strain(measure) > strain(worst) ? measure : worst),
    undefined,
  );
}

/** Runs one check. A refusal by name is "unsupported"; any other error fails it. */
export async function runCheck(set: string, check: Check): Promise<Result> {
  const started = performance.now();
  const result = (status: Result["status"], measures: readonly Measure[], reason: string | null): Result => ({
    set,
    case: check.case,
    check: check.kind,
    status,
    measures,
    reason,
    seconds: (performance.now() - started) / 1000,
  });
  try {
    const finding = await check.run();
    if ("unsupported" in finding) return result("unsupported", [], finding.unsupported);
    if (finding.length === 0) return result("fail", [], "nothing was compared");
    return result(finding.every(holds) ? "pass" : "fail", finding, null);
  } catch (error) {
    if (isHeirloomError(error) && REFUSALS.includes(error.code)) return result("unsupported", [], error.message);
    if (isHeirloomError(error) && error.code === "PEER_MISSING") throw error;
    return result("fail", [], error instanceof Error ? (error.stack ?? error.message) : String(error));
  }
}
