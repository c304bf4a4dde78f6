import { type SavedOptimizer, updatesOf } from "../formats/index.ts";
import type { Ledger } from "../ledger/index.ts";
import { matchOptimizer, type OptimizerMatch } from "./optimizer-match.ts";
import type { RecordedGroup } from "./recorded-groups.ts";
import type { TrainerFiles } from "./trainer-checkpoint.ts";

/** How far a checkpoint is, and what its optimizer gave away. */
export interface InspectedCheckpoint {
  readonly step: number | null;
  readonly maxSteps: number | null;
  readonly epoch: number | null;
  readonly epochs: number | null;
  /** Share of the updates that are done. */
  readonly progress: number | null;
  readonly lastLoss: number | null;
  /** Rates per group after the last update. */
  readonly lastLearningRates: readonly number[] | null;
  readonly optimizer: {
    /** `adam`, `8-bit`, `sgd`, `adafactor`, `other`, or `none` if it holds no state. */
    readonly kind: string;
    /** Whose order of parameters fits; null if none does. */
    readonly order: string | null;
    readonly tensors: number;
    /** Given to the optimizer, but never updated. */
    readonly withoutState: readonly string[];
    readonly steps: { readonly min: number; readonly max: number } | null;
  } | null;
  readonly generators: readonly string[] | null;
  readonly argumentsClass: string | null;
  readonly arguments: Readonly<Record<string, string | number | boolean | null>>;
  readonly missing: readonly string[];
}

/** What the optimizer's file makes of the ledger. */
export interface CheckpointEvidence {
  readonly ledger: Ledger;
  readonly checkpoint: InspectedCheckpoint;
  readonly groups: readonly RecordedGroup[];
  readonly notes: readonly string[];
}

const shapeText = (shape: readonly number[]): string => `[${shape.join(", ")}]`;

function namesText(names: readonly string[]): string {
  return names.length <= 2 ? names.join(" and ") : `${names.length} tensors, the first of them ${names[0] ?? ""},`;
}

/** What stands out about an optimizer. */
function matchNotes({ recovery, leftOut, withoutState, isOrdered }: OptimizerMatch): string[] {
  if (recovery?.kind === "unknown") return [`optimizer.pt could not be matched with the stored tensors: ${recovery.reason}`];
  if (recovery?.kind === "conflict") {
    const { index, name, expected, found } = recovery.conflict;
    const guess = isOrdered ? "" : " (without --base the order of tensors is only the usual one)";
    return [
      `optimizer.pt fits the stored tensors in number but not in shape: index ${index} is ${shapeText(found)}, ${name} is ${shapeText(expected)}${guess}; torch would load it without a word`,
    ];
  }
  const notes: string[] = [];
  if (leftOut.length > 0) notes.push(`${namesText(leftOut)} in the file were not in the optimizer: frozen in this run`);
  if (withoutState.length > 0) notes.push(`${namesText(withoutState)} were in the optimizer but never got a gradient`);
  return notes;
}

/** The family of an optimizer's algorithm; `none` if it holds no state. */
function kindOf({ state }: SavedOptimizer): string {
  const kinds = [...state.values()].map(({ kind }) => kind).filter((kind) => kind !== null);
  // 8-bit optimizers keep small tensors in full, under the same keys.
  return kinds.find((kind) => kind === "8-bit") ?? kinds[0] ?? (state.size === 0 ? "none" : "other");
}

function stepsOf(optimizer: SavedOptimizer): { min: number; max: number } | null {
  const steps = updatesOf(optimizer);
  return steps.length === 0 ? null : { min: steps.reduce((a, b) => Math.min(a, b)), max: steps.reduce((a, b) => Math.max(a, b)) };
}

function groupsOf({ groups }: SavedOptimizer, groupNames: readonly string[], ledger: Ledger): RecordedGroup[] {
  return groups.flatMap(({ learningRate, peak }, g) => {
    const name = groupNames[g] ?? `group ${g}`;
    const entries = ledger.entries.filter(({ group }) => group === name);
    const parameters = entries.reduce((sum, entry) => sum + entry.parameters, 0);
    const rate = peak ?? learningRate;
    return rate === null ? [] : [{ name, match: [], learningRate: rate, tensors: entries.length, parameters }];
  });
}

function progressOf({ step, maxSteps }: TrainerFiles): number | null {
  return step === null || maxSteps === null || maxSteps <= 0 ? null : step / maxSteps;
}

/**
 * Holds a trainer's files against the stored tensors: the ledger of what was
 * really trained, with basis `optimizer`, or the given one where they do not tell.
 *
 * @param isOrdered whether the ledger is in `named_parameters()` order (a base was given)
 */
export function checkpointEvidence(ledger: Ledger, files: TrainerFiles, isOrdered: boolean): CheckpointEvidence {
  const { optimizer } = files;
  const match = matchOptimizer(files, ledger, isOrdered);
  const trained = match?.trained ?? null;
  const found = match?.recovery?.kind === "recovered" ? match.recovery : null;
  const recovered: Ledger =
    trained === null
      ? ledger
      : {
          basis: "optimizer",
          entries: ledger.entries.map((entry) => {
            const group = trained.get(entry.name);
            return { ...entry, trainable: group !== undefined, group: group === undefined || group === "" ? entry.group : group };
          }),
        };
  const missing = files.missing.length === 0 ? [] : [`${files.missing.join(", ")} not found: a resume would not go on where this stopped`];
  const { step, maxSteps, epoch, epochs, lastLoss, lastLearningRates, generators, argumentsClass } = files;
  return {
    ledger: recovered,
    checkpoint: {
      step,
      maxSteps,
      epoch,
      epochs,
      progress: progressOf(files),
      lastLoss,
      lastLearningRates,
      optimizer:
        optimizer === null
          ? null
          : {
              kind: kindOf(optimizer),
              order: found?.order ?? (match?.trained == null ? null : "names"),
              tensors: optimizer.state.size,
              withoutState: match?.withoutState ?? [],
              steps: stepsOf(optimizer),
            },
      generators,
      argumentsClass,
      arguments: files.arguments,
      missing: files.missing,
    },
    groups: optimizer === null ? [] : groupsOf(optimizer, found?.groupNames ?? [], recovered),
    notes: [...(match === null ? [] : matchNotes(match)), ...missing, ...files.unread],
  };
}
