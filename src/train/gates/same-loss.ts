import type { ChangeName, RunConfig } from "../../config/index.ts";
import { HeirloomError, type Problem } from "../../core/index.ts";
import type { AdapterRecord, EvaluationConditions, EvaluationRecord } from "../../runs/index.ts";

/** The bound of DESIGN §3 for a loss before saving and after loading, where not every bit can be promised. */
const CLOSE = 1e-5;

/** Changes after which the same weights compute something else. */
const OTHER_OUTPUTS: readonly ChangeName[] = ["alpha", "alphaPattern", "rslora", "fullCopyDtype"];
/** Changes that leave the graph, and so every bit, what it was. */
const SAME_GRAPH: readonly ChangeName[] = ["groups", "base", "quantization"];

/** The losses that an evaluation owes to the last one before on the same weights, or why it owes none. */
export interface Owed {
  readonly to: "parent" | "checkpoint" | "best checkpoint" | "record";
  readonly records: readonly EvaluationRecord[];
  /** True: under equal conditions, every bit. */
  readonly exactly: boolean;
  /** Why nothing is compared. */
  readonly note: string | null;
}

/** A held-out loss beside the one that it owes to. */
export interface SameLoss {
  readonly dataset: string;
  readonly expected: number;
  readonly found: number;
  /** Bit for bit; or by at most the bound, with what may differ. */
  readonly exactly: boolean;
  readonly differing: readonly string[];
  readonly ok: boolean;
}

/** What the first evaluation of a continuation owes to the last one of its parent. */
export function continuationOwes(
  record: AdapterRecord | null,
  run: { readonly config: RunConfig; readonly baseFingerprint: string },
  changed: readonly ChangeName[],
): Owed {
  const nothing = (note: string | null): Owed => ({ to: "parent", records: [], exactly: false, note });
  if (record === null) return nothing(null); // what had to be assumed of such an adapter is told already
  const reasons = [
    ...(record.base.fingerprint.value === run.baseFingerprint ? [] : ["base"]),
    ...(JSON.stringify(record.config.quantization) === JSON.stringify(run.config.quantization) ? [] : ["quantization"]),
    ...changed.filter((name) => OTHER_OUTPUTS.includes(name)),
  ];
  const untold = "the first evaluation is not held against the parent's last one";
  if (reasons.length > 0) return nothing(`${untold}: with another ${reasons.join(" and ")}, the adapter computes something else`);
  if (record.evaluations.length === 0) return nothing(`${untold}: the adapter records none`);
  const exactly = changed.every((name) => SAME_GRAPH.includes(name));
  return { to: "parent", records: record.evaluations, exactly, note: null };
}

/** What the first evaluation of a resumed run owes to the last one of its checkpoint, if that was made on the same weights. */
export function resumptionOwes(step: number, last: readonly EvaluationRecord[]): Owed {
  return { to: "checkpoint", records: last.filter((record) => record.step === step), exactly: true, note: null };
}

/** What an evaluation of a saved adapter owes to the last one that its record holds. */
export function evaluationOwes(record: AdapterRecord): Owed {
  return { to: "record", records: record.evaluations, exactly: true, note: null };
}

/** How near a loss must come, in words. */
export function nearness({ exactly }: Pick<SameLoss, "exactly">): string {
  return exactly ? "to the bit" : `within ${CLOSE.toExponential()}`;
}

/** Names of the conditions that differ; one that is not recorded may. */
function differences(a: EvaluationConditions | undefined, b: EvaluationConditions | undefined): string[] {
  if (a === undefined || b === undefined) return ["conditions not recorded"];
  return [...new Set([...Object.keys(a), ...Object.keys(b)])].filter((name) => a[name] !== b[name]);
}

/** Each loss of `found` beside the one of the same rows in `owed`. */
export function sameLosses(owed: Owed, found: readonly EvaluationRecord[]): SameLoss[] {
  return found.flatMap((record) => {
    const same = owed.records.filter(({ fingerprint }) => fingerprint === record.fingerprint);
    const before = same.find(({ dataset }) => dataset === record.dataset) ?? same[0];
    if (before === undefined) return [];
    const differing = differences(before.conditions, record.conditions);
    const exactly = owed.exactly && differing.length === 0;
    const off = Math.abs(record.loss - before.loss);
    const ok = exactly ? Object.is(record.loss, before.loss) : off <= CLOSE * Math.abs(before.loss);
    return [{ dataset: record.dataset, expected: before.loss, found: record.loss, exactly, differing, ok }];
  });
}

/** The losses that are not what they were as one error; null if all are. */
export function samenessError(owed: Owed, losses: readonly SameLoss[]): HeirloomError | null {
  const problems = losses
    .filter(({ ok }) => !ok)
    .map((loss): Problem => {
      const how = loss.exactly ? "to the last bit" : `within ${CLOSE} of it`;
      return {
        code: "GATE_FAILED",
        message: `expected the loss that the ${owed.to} ended with, ${loss.expected}, ${how}; found ${loss.found}: the weights are not those that were saved`,
        where: loss.dataset,
        hint: "nothing was trained; compare the files: heirloom verify ADAPTER, and report it if they are sound",
        details: { gate: "same loss after loading", ...loss },
      };
    });
  const [first, ...rest] = problems;
  return first === undefined ? null : HeirloomError.of([first, ...rest]);
}
