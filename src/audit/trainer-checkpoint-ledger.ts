import { inUsualOrder, type Ledger, type LedgerEntry, recoverOptimizer } from "../ledger/index.ts";
import type { RecordedGroup } from "./recorded-groups.ts";
import type { OptimizerState, TrainerFiles } from "./trainer-checkpoint.ts";

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

interface Recovery {
  readonly order: string | null;
  /** Live names that were updated, and the group of each. */
  readonly trained: ReadonlyMap<string, string> | null;
  readonly withoutState: readonly string[];
  /** Name of each optimizer group. */
  readonly groupNames: readonly string[];
  readonly notes: readonly string[];
}

const NOTHING: Recovery = { order: null, trained: null, withoutState: [], groupNames: [], notes: [] };

/** What can have been trained: of an adapter its own tensors, of a model all of them. */
function candidatesOf(ledger: Ledger, isOrdered: boolean): readonly LedgerEntry[] {
  const own = ledger.entries.filter(({ trainable }) => trainable);
  const entries = own.length > 0 ? own : ledger.entries;
  return isOrdered ? entries : inUsualOrder(entries);
}

const shapeText = (shape: readonly number[]): string => `[${shape.join(", ")}]`;

function namesText(names: readonly string[]): string {
  return names.length <= 2 ? names.join(" and ") : `${names.length} tensors, the first of them ${names[0] ?? ""},`;
}

/** Matches indices with names and tells what stands out. */
function recover(optimizer: OptimizerState, candidates: readonly LedgerEntry[], isOrdered: boolean): Recovery {
  const stated = optimizer.groups.map(({ indices }) => indices.map((index) => optimizer.shapes.get(index) ?? null));
  const found = recoverOptimizer(candidates, stated);
  if (found.kind === "unknown")
    return { ...NOTHING, notes: [`optimizer.pt could not be matched with the stored tensors: ${found.reason}`] };
  if (found.kind === "conflict") {
    const { index, name, expected, found: shape } = found.conflict;
    const guess = isOrdered ? "" : " (without --base the order of tensors is only the usual one)";
    return {
      ...NOTHING,
      notes: [
        `optimizer.pt fits the stored tensors in number but not in shape: index ${index} is ${shapeText(shape)}, ${name} is ${shapeText(expected)}${guess}; torch would load it without a word`,
      ],
    };
  }
  const trained = new Map<string, string>();
  const withoutState: string[] = [];
  // Plain SGD keeps no state at all: there, being in a group is all the evidence.
  const keepsState = optimizer.shapes.size > 0;
  for (const [g, names] of found.groups.entries()) {
    for (const [i, name] of names.entries()) {
      if (keepsState && !optimizer.shapes.has(optimizer.groups[g]?.indices[i] ?? -1)) withoutState.push(name);
      else trained.set(name, found.groupNames[g] ?? "");
    }
  }
  const notes: string[] = [];
  if (found.leftOut.length > 0) notes.push(`${namesText(found.leftOut)} in the file were not in the optimizer: frozen in this run`);
  if (withoutState.length > 0) notes.push(`${namesText(withoutState)} were in the optimizer but never got a gradient`);
  return { order: found.order, trained, withoutState, groupNames: found.groupNames, notes };
}

function recoverNamed(names: readonly string[], candidates: readonly LedgerEntry[]): Recovery {
  const trained = new Map(names.map((name) => [name, ""]));
  const leftOut = candidates.filter(({ name }) => !trained.has(name)).map(({ name }) => name);
  const notes = leftOut.length === 0 ? [] : [`${namesText(leftOut)} in the file were not in the optimizer: frozen in this run`];
  return { ...NOTHING, order: "names", trained, notes };
}

function groupsOf({ groups }: OptimizerState, { groupNames }: Recovery, ledger: Ledger): RecordedGroup[] {
  return groups.flatMap(({ learningRate, initialLearningRate }, g) => {
    const name = groupNames[g] ?? `group ${g}`;
    const entries = ledger.entries.filter(({ group }) => group === name);
    const parameters = entries.reduce((sum, entry) => sum + entry.parameters, 0);
    const rate = initialLearningRate ?? learningRate;
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
  const candidates = candidatesOf(ledger, isOrdered);
  const { optimizer, namedOptimizer } = files;
  const recovery =
    namedOptimizer !== null
      ? recoverNamed(namedOptimizer, candidates)
      : optimizer !== null
        ? recover(optimizer, candidates, isOrdered)
        : NOTHING;
  const { trained } = recovery;
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
              kind: optimizer.kind,
              order: recovery.order,
              tensors: optimizer.shapes.size,
              withoutState: recovery.withoutState,
              steps: optimizer.steps,
            },
      generators,
      argumentsClass,
      arguments: files.arguments,
      missing: files.missing,
    },
    groups: optimizer === null ? [] : groupsOf(optimizer, recovery, recovered),
    notes: [...recovery.notes, ...missing, ...files.unread],
  };
}
