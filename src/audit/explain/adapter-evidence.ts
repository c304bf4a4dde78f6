import type { PeftConfig } from "../../formats/index.ts";
import { type LedgerEntry, ledgerCounts, readLedger, type StoredEntry } from "../../ledger/index.ts";
import type { ModelSpec } from "../../model/index.ts";
import { countRange, type Observed, totalsFor, within } from "./constraint.ts";
import { type Conflict, type FileDtype, type FileDtypes, type Hypothesis, type TrainedCounts, trainedCounts } from "./hypothesis.ts";

/** An adapter's own files, by configuration and headers. */
export interface AdapterFacts {
  readonly config: PeftConfig;
  /** Headers of its weights. */
  readonly tensors: readonly StoredEntry[];
}

/** A choice of what is trained in the adapter as it is stored. */
export interface AdapterState extends TrainedCounts {
  /** `LoRA`, `lm_head` … */
  readonly trained: readonly string[];
  readonly frozen: readonly string[];
}

/** What an adapter's own files say to a banner. */
export interface AdapterReading {
  /** Ranks of the stored LoRA matrices. */
  readonly ranks: readonly number[];
  readonly targets: readonly string[];
  /** Layers with LoRA matrices. */
  readonly layers: { readonly count: number; readonly of: number };
  /** Modules that are stored in full. */
  readonly fullCopies: readonly string[];
  readonly modulesToSave: readonly string[];
  /** True if trained biases are stored. */
  readonly storesBiases: boolean;
  /** Bytes of the stored tensors. */
  readonly bytes: number;
  /** What LoRA matrices and full copies are stored in; null if either is in several dtypes, or in one that no size is known of. */
  readonly dtypes: FileDtypes | null;
  /** Counts with all that it holds trained. */
  readonly unfrozen: TrainedCounts;
  /** Every choice of frozen parts that prints the banner; empty if this adapter cannot have printed it. */
  readonly states: readonly AdapterState[];
}

/** Choices are 2^parts; adapters have LoRA, biases and a few copies. More than this many copies are taken as one part. */
const MAX_PARTS = 10;

const lastPart = (path: string) => path.slice(path.lastIndexOf(".") + 1);
const unique = <T>(values: Iterable<T>): T[] => [...new Set(values)];

function isLora({ role }: LedgerEntry): boolean {
  return role === "lora_A" || role === "lora_B" || role === "lora_magnitude";
}

/** The adapter's tensors by what is frozen or trained together. */
function partsOf(entries: readonly LedgerEntry[]): Map<string, number> {
  const own = entries.filter((entry) => isLora(entry) || entry.role === "full_copy" || entry.role === "bias");
  const copies = unique(own.filter(({ role }) => role === "full_copy").map(({ module }) => module));
  const parts = new Map<string, number>();
  for (const entry of own) {
    const copyName = copies.length > MAX_PARTS - 2 ? "full copies" : lastPart(entry.module);
    const name = isLora(entry) ? "LoRA" : entry.role === "bias" ? "biases" : copyName;
    parts.set(name, (parts.get(name) ?? 0) + entry.parameters);
  }
  return parts;
}

function statesThatPrint(parts: ReadonlyMap<string, number>, all: number, observed: Observed): AdapterState[] {
  const named = [...parts];
  const masks = Array.from({ length: 2 ** named.length }, (_, mask) => mask).reverse();
  return masks.flatMap((mask) => {
    const isTrained = (at: number) => Math.floor(mask / 2 ** at) % 2 === 1;
    const trainable = named.reduce((sum, [, count], at) => (isTrained(at) ? sum + count : sum), 0);
    if (!within(countRange(observed.trainable), trainable) || !within(totalsFor(observed, trainable), all)) return [];
    const names = named.map(([name]) => name);
    return [
      {
        trained: names.filter((_, at) => isTrained(at)),
        frozen: names.filter((_, at) => !isTrained(at)),
        ...trainedCounts(trainable, all),
      },
    ];
  });
}

const FILE_DTYPES: readonly string[] = ["F32", "BF16", "F16"] satisfies FileDtype[];

/** The one dtype of some tensors; null if there are several. */
function dtypeOf(entries: readonly LedgerEntry[]): FileDtype | null {
  const [dtype, ...more] = unique(entries.map((entry) => entry.dtype));
  return dtype !== undefined && more.length === 0 && FILE_DTYPES.includes(dtype) ? (dtype as FileDtype) : null;
}

function storedDtypes(entries: readonly LedgerEntry[]): FileDtypes | null {
  const beside = entries.filter((entry) => !isLora(entry));
  const lora = dtypeOf(entries.filter(isLora));
  const copies = dtypeOf(beside);
  return lora === null || (beside.length > 0 && copies === null) ? null : { lora, copies };
}

/** Reads an adapter's files as evidence for or against what a banner says. */
export function readAdapter({ config, tensors }: AdapterFacts, spec: ModelSpec, observed: Observed): AdapterReading {
  const { entries } = readLedger({ tensors, config });
  const matrices = entries.filter(({ role }) => role === "lora_A");
  const layers = unique(matrices.flatMap(({ module }) => /\.(\d+)\./.exec(module)?.[1] ?? []));
  const inModel = readLedger({ tensors, config, spec });
  const counts = ledgerCounts(inModel);
  const parts = partsOf(inModel.entries);
  const held = [...parts.values()].reduce((sum, count) => sum + count, 0);
  return {
    ranks: unique(matrices.map(({ shape }) => shape[0] ?? 0)).sort((a, b) => a - b),
    targets: unique(matrices.map(({ module }) => lastPart(module))),
    layers: { count: layers.length, of: spec.layerCount },
    fullCopies: unique(entries.filter(({ role }) => role === "full_copy").map(({ module }) => lastPart(module))),
    modulesToSave: config.kind === "lora" ? (config.modulesToSave ?? []) : [],
    storesBiases: entries.some(({ role }) => role === "bias"),
    bytes: entries.reduce((sum, { bytes }) => sum + bytes, 0),
    dtypes: storedDtypes(entries),
    unfrozen: trainedCounts(held, counts.all),
    states: statesThatPrint(parts, counts.all, observed),
  };
}

const CONFIG = "adapter_config.json";
const WEIGHTS = "adapter_model.safetensors";

function sameNames(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((name) => b.includes(name));
}

/** Where a hypothesis contradicts the adapter's files. */
export function conflictsOf(hypothesis: Omit<Hypothesis, "conflictsWith">, adapter: AdapterReading, config: PeftConfig): Conflict[] {
  const conflicts: Conflict[] = [];
  const against = (where: string, what: string, needed: string, found: string) =>
    conflicts.push({ where, message: `${what}: this needs ${needed}, the adapter has ${found}` });
  const { rank, targets, layers, fullCopies, method } = hypothesis;
  if (method === "full" || method === "none") {
    against(WEIGHTS, "adapter", "none", "LoRA tensors");
    return conflicts;
  }
  if (rank !== null) {
    if (config.kind === "lora" && config.r !== rank) against(CONFIG, "r", String(rank), String(config.r));
    if (!sameNames([rank].map(String), adapter.ranks.map(String)))
      against(WEIGHTS, "rank of lora_A", String(rank), adapter.ranks.join(", "));
    if (!sameNames(targets, adapter.targets)) against(WEIGHTS, "modules with LoRA", targets.join(", "), adapter.targets.join(", "));
    if (layers !== null && layers.count !== adapter.layers.count)
      against(WEIGHTS, "layers with LoRA", String(layers.count), String(adapter.layers.count));
    const isDora = config.kind === "lora" && config.useDora;
    if ((method === "dora") !== isDora) against(CONFIG, "use_dora", String(method === "dora"), String(isDora));
    // On a base without biases `bias: all` means nothing.
    const bias = config.kind === "lora" && adapter.storesBiases ? config.bias : "none";
    if (hypothesis.bias !== bias) against(CONFIG, "bias", hypothesis.bias, bias);
  }
  for (const { module, state } of fullCopies) {
    const isStored = adapter.fullCopies.includes(module);
    if ((state !== "absent") !== isStored)
      against(WEIGHTS, `full copy of ${module}`, state === "absent" ? "none" : "one", isStored ? "one" : "none");
  }
  return conflicts;
}
