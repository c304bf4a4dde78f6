import { join } from "node:path";
import { type AdapterSpec, type ResolvedAdapter, resolveForEngine, storedAdapter } from "../adapter/index.ts";
import { evaluationSettings, type GateConfig, type LearningRateGroup, learningRateGroups, type RunConfig } from "../config/index.ts";
import {
  type Dataset,
  type DatasetOptions,
  datasetReading,
  loadDataset,
  loadTokenizer,
  requireEmbeddingRows,
  type Tokenizer,
  tokenCacheFolder,
} from "../data/index.ts";
import {
  type BaseWeights,
  baseParameters,
  growAdapter,
  loadModelFolder,
  newAdapterParameters,
  type Parameter,
  readAdapterParameters,
  takeOverValues,
  writeValues,
} from "../engine/index.ts";
import { type ModelFolder, openAdapterFolder, openModelFolder } from "../folders/index.ts";
import type { TensorFile } from "../formats/index.ts";
import { type AnswerSet, loadAnswers } from "../generate/index.ts";
import { adapterFromConfig, type Ledger, predictRun } from "../ledger/index.ts";
import type { ModelSpec } from "../model/index.ts";
import { type Fingerprint, fingerprintModel, type HeldOutRecord, hashFile } from "../runs/index.ts";
import { requireKnownSets } from "./gates/index.ts";
import { type HeldOutSet, loadParentSets } from "./parent-sets.ts";

/** An adapter on its base, with its tensors in memory. */
export interface LiveAdapter {
  /** As it is written to adapter_config.json. */
  readonly spec: AdapterSpec;
  readonly resolved: ResolvedAdapter;
}

/** A saved adapter to start from. */
export interface SavedAdapter {
  readonly spec: AdapterSpec;
  readonly tensors: TensorFile;
}

/** What a run starts from. */
export interface StartingPoint {
  /** The adapter whose values are taken over; null for a new one. */
  readonly saved: SavedAdapter | null;
  /** Checkpoint folder of a run that is resumed; null otherwise. */
  readonly checkpoint: string | null;
  /** Held-out sets of the adapter that is continued, to be evaluated too. @defaultValue none */
  readonly heldOut?: Readonly<Record<string, HeldOutRecord>>;
  /** When the run was first started: the date that a chat template may print. */
  readonly startedAt: Date;
  /** Called as soon as the base is known, before its tensors are asked for; throws if it is the wrong one. */
  readonly requireBase?: (base: { readonly folder: string; readonly fingerprint: Fingerprint }) => void;
}

/** A run's inputs, read and checked; nothing is compiled or written yet. */
export interface Prepared {
  readonly config: RunConfig;
  readonly base: { readonly folder: string; readonly spec: ModelSpec; readonly weights: BaseWeights; readonly fingerprint: Fingerprint };
  readonly tokenizer: Tokenizer;
  readonly tokenizerHash: string;
  readonly train: Dataset;
  readonly evaluation: ReadonlyMap<string, Dataset>;
  /** Held-out sets of the adapter that is continued. */
  readonly parentSets: ReadonlyMap<string, HeldOutSet>;
  /** Prompts with answers. */
  readonly answers: ReadonlyMap<string, AnswerSet>;
  /** Conditions, on sets that are evaluated. */
  readonly gates: readonly GateConfig[];
  /** What of the parent's sets could not be read. */
  readonly notes: readonly string[];
  /** Null for full-parameter training. */
  readonly adapter: LiveAdapter | null;
  readonly parameters: readonly Parameter[];
  readonly groups: readonly LearningRateGroup[];
  readonly ledger: Ledger;
}

/** Puts the masters of a full-parameter checkpoint into the parameters. */
async function readModelCheckpoint(checkpoint: string, parameters: readonly Parameter[]): Promise<void> {
  const model = await openModelFolder(checkpoint);
  try {
    const stored = await loadModelFolder(model, { quantization: null, cache: "off" });
    for (const parameter of parameters) writeValues(parameter, stored.values(parameter.name));
  } finally {
    await model.folder.close();
  }
}

async function makeParameters(
  config: RunConfig,
  spec: ModelSpec,
  weights: BaseWeights,
  saved: SavedAdapter | null,
): Promise<{ adapter: LiveAdapter | null; parameters: Parameter[] }> {
  if (config.adapter === null) return { adapter: null, parameters: baseParameters(spec, (name) => weights.values(name), "F32") };
  const wanted = adapterFromConfig(config.adapter, config.base);
  const resolved = resolveForEngine(spec, wanted);
  const options = {
    base: weights,
    seed: config.training.seed,
    fullCopyDtype: config.adapter.fullCopyDtype === "bf16" ? ("BF16" as const) : ("F32" as const),
  };
  const adapter = { spec: storedAdapter(spec, wanted), resolved };
  if (saved === null) return { adapter, parameters: await newAdapterParameters({ ...options, spec: wanted, resolved }) };
  const own = { ...options, spec: saved.spec, resolved: resolveForEngine(spec, saved.spec) };
  const before = await readAdapterParameters(saved.tensors, own);
  return { adapter, parameters: await growAdapter(before, { ...options, spec: wanted, resolved }) };
}

type Data = Pick<Prepared, "train" | "evaluation" | "parentSets" | "answers" | "gates" | "notes">;

/** Reads all data of a run, and refuses gates on sets that there are not. */
async function loadData(config: RunConfig, tokenizer: Tokenizer, spec: ModelSpec, start: StartingPoint): Promise<Data> {
  const { maxLength, onTooLong, template } = config.data;
  const now = start.startedAt;
  const reading = {
    ...datasetReading(config.data),
    maxLength,
    onTooLong,
    template,
    now,
    cache: config.data.cache ? tokenCacheFolder() : null,
  };
  const load = (files: DatasetOptions["files"]): Promise<Dataset> => loadDataset({ ...reading, files }, tokenizer);
  const evaluation = new Map<string, Dataset>();
  for (const [name, files] of Object.entries(config.data.eval)) evaluation.set(name, await load(files));
  const settings = evaluationSettings(config.evaluation);
  const answers = new Map<string, AnswerSet>();
  for (const [name, files] of Object.entries(settings.answers))
    answers.set(name, await loadAnswers(files, tokenizer, { maxPositions: spec.maxPositions, now, template }));
  const own = new Map([...evaluation].map(([name, { fingerprint }]) => [fingerprint, name]));
  const { sets, aliases, notes } = await loadParentSets(start.heldOut ?? {}, own, tokenizer);
  const gates = settings.gates.map((gate) => ({ ...gate, dataset: gate.dataset?.map((name) => aliases.get(name) ?? name) ?? null }));
  requireKnownSets(gates, { losses: [...evaluation.keys(), ...sets.keys()], answers: [...answers.keys()] });
  return { train: await load(config.data.train), evaluation, parentSets: sets, answers, gates, notes };
}

/** Puts the weights of one of the run's own checkpoints into the live ones. */
export async function restoreWeights({ adapter, parameters, base, config }: Prepared, checkpoint: string): Promise<void> {
  if (adapter === null) return readModelCheckpoint(checkpoint, parameters);
  const { spec, tensors, folder } = await openAdapterFolder(checkpoint);
  try {
    const fullCopyDtype = config.adapter?.fullCopyDtype === "bf16" ? ("BF16" as const) : ("F32" as const);
    const options = { base: base.weights, seed: config.training.seed, fullCopyDtype, spec, resolved: adapter.resolved };
    takeOverValues(await readAdapterParameters(tensors, options), parameters);
  } finally {
    await folder.close();
  }
}

/**
 * Reads and checks everything that a run needs, cheapest first: the ledger and
 * the data before the weights.
 *
 * @param start what the run starts from
 */
export async function prepareRun(config: RunConfig, start: StartingPoint): Promise<Prepared> {
  const model: ModelFolder = await openModelFolder(config.base);
  try {
    const { spec } = model;
    const ledger = predictRun(config, spec, learningRateGroups(config.training));
    const tokenizer = await loadTokenizer(config.base);
    requireEmbeddingRows(tokenizer, spec.vocabSize);
    const data = await loadData(config, tokenizer, spec, start);
    const fingerprint = await fingerprintModel(model.folder);
    start.requireBase?.({ folder: config.base, fingerprint });
    const weights = await loadModelFolder(model, { quantization: config.quantization, cache: config.engine.dequantizedCache });
    const made = await makeParameters(config, spec, weights, start.saved);
    if (made.adapter === null && start.checkpoint !== null) await readModelCheckpoint(start.checkpoint, made.parameters);
    if (made.adapter !== null) weights.release(new Set(made.parameters.flatMap(({ keys }) => keys)));
    return {
      config,
      base: { folder: config.base, spec, weights, fingerprint },
      tokenizer,
      tokenizerHash: (await hashFile(join(config.base, "tokenizer.json"))).sha256,
      ...data,
      ...made,
      groups: learningRateGroups(config.training),
      ledger,
    };
  } finally {
    await model.folder.close();
  }
}
