import { stat } from "node:fs/promises";
import { join } from "node:path";
import { isHeirloomError } from "../core/index.ts";
import { type LoraPeftConfig, type PeftConfig, parsePeftConfig, type TensorFile } from "../formats/index.ts";
import {
  type Ledger,
  type LedgerBasis,
  type LedgerCounts,
  type LedgerEntry,
  ledgerCounts,
  peftBanners,
  type Role,
  readLedger,
} from "../ledger/index.ts";
import { type ModelSpec, parseModelConfig } from "../model/index.ts";
import { readAdapterRecord } from "../runs/index.ts";
import { modelLedger } from "./model-ledger.ts";
import { type FoundPath, findPath, OpenFiles, openWeights, type PathKind } from "./open-path.ts";
import { type RecordedGroup, recordedGroups, recordNotes, withRecordedGroups } from "./recorded-groups.ts";
import { readTrainerFiles } from "./trainer-checkpoint.ts";
import { type CheckpointEvidence, checkpointEvidence, type InspectedCheckpoint } from "./trainer-checkpoint-ledger.ts";
import { unsloth } from "./unsloth-banner.ts";

/** What an adapter's configuration says of it; null where its PEFT type has no such thing. */
export interface InspectedAdapter {
  /** `lora`, `rslora`, `dora`, or another PEFT type in lower case. */
  readonly variant: string;
  readonly rank: number | null;
  readonly alpha: number | null;
  /** Factor on B·A of modules that no pattern names. */
  readonly scaling: number | null;
  readonly dropout: number | null;
  readonly targetModules: readonly string[] | string | null;
  readonly excludeModules: readonly string[] | string | null;
  /** Layers that get LoRA; null is all. */
  readonly layers: readonly number[] | null;
  readonly modulesToSave: readonly string[] | null;
  readonly ensureWeightTying: boolean;
  readonly bias: string | null;
}

/** Where the thing came from, as its files tell. */
export interface InspectedProvenance {
  readonly baseModel: string | null;
  readonly revision: string | null;
  readonly peftVersion: string | null;
  /** Base folder that was given for the counts. */
  readonly base: string | null;
  /** Run and update that it was saved in, where a record tells. */
  readonly run: string | null;
  readonly step: number | null;
}

/** One tensor of the ledger. */
export interface InspectedTensor extends Omit<LedgerEntry, "parameters" | "state"> {
  readonly parameters: number;
}

/** The fields of `inspect --json`. */
export interface InspectResult {
  readonly kind: PathKind;
  readonly path: string;
  /** Class name in the model's config.json; null if it is not known without `--base`. */
  readonly architecture: string | null;
  readonly adapter: InspectedAdapter | null;
  readonly counts: { readonly basis: LedgerBasis } & LedgerCounts;
  readonly banner: { readonly peft: ReturnType<typeof peftBanners>; readonly unsloth: string } | null;
  /** Why there is no banner. */
  readonly bannerReason: string | null;
  readonly bytes: { readonly onDisk: number; readonly byRole: Readonly<Partial<Record<Role, number>>> };
  /** What the trainer left beside the weights of a checkpoint; null for anything else. */
  readonly checkpoint: InspectedCheckpoint | null;
  /** Learning-rate groups, where a record or an optimizer's file tells them. */
  readonly groups: readonly RecordedGroup[];
  readonly tensors: readonly InspectedTensor[];
  readonly provenance: InspectedProvenance;
  /** What a reader should know about the figures. */
  readonly notes: readonly string[];
}

/** What may be given beside the path. */
export interface InspectOptions {
  /** Folder of the base model, or its config.json. */
  readonly base?: string;
}

/** A base model as far as its config.json tells. */
interface Base {
  readonly path: string;
  readonly architecture: string | null;
  /** Null if the architecture is not one that is known here. */
  readonly spec: ModelSpec | null;
  readonly reason: string | null;
}

const DTYPES: Readonly<Record<string, string>> = { bfloat16: "BF16", float16: "F16", float32: "F32" };

function architectureOf(json: unknown): string | null {
  if (typeof json !== "object" || json === null) return null;
  const { architectures, model_type: type } = json as Record<string, unknown>;
  if (Array.isArray(architectures) && typeof architectures[0] === "string") return architectures[0];
  return typeof type === "string" ? type : null;
}

async function readBase(path: string, opened: OpenFiles): Promise<Base> {
  const isFolder = await stat(path).then(
    (info) => info.isDirectory(),
    () => false,
  );
  const file = isFolder ? join(path, "config.json") : path;
  const json = await opened.json(file);
  try {
    return { path, architecture: architectureOf(json), spec: parseModelConfig(json, file), reason: null };
  } catch (error) {
    // An architecture that the engine does not run can still be looked at.
    if (!isHeirloomError(error) || error.code !== "ARCHITECTURE_UNSUPPORTED") throw error;
    return { path, architecture: architectureOf(json), spec: null, reason: error.problems[0].message };
  }
}

function variantOf(config: PeftConfig): string {
  if (config.kind === "other") return config.peftType.toLowerCase();
  if (config.useDora) return "dora";
  return config.useRslora ? "rslora" : "lora";
}

function scalingOf({ r, loraAlpha, useRslora }: LoraPeftConfig): number | null {
  return r < 1 ? null : loraAlpha / (useRslora ? Math.sqrt(r) : r);
}

function adapterOf(config: PeftConfig): InspectedAdapter {
  const variant = variantOf(config);
  if (config.kind === "other") {
    return {
      variant,
      rank: null,
      alpha: null,
      scaling: null,
      dropout: null,
      targetModules: null,
      excludeModules: null,
      layers: null,
      modulesToSave: null,
      ensureWeightTying: false,
      bias: null,
    };
  }
  return {
    variant,
    rank: config.r,
    alpha: config.loraAlpha,
    scaling: scalingOf(config),
    dropout: config.loraDropout,
    // Real files repeat names; each counts once.
    targetModules: Array.isArray(config.targetModules) ? [...new Set(config.targetModules as string[])] : config.targetModules,
    excludeModules: config.excludeModules,
    layers: config.layersToTransform === null ? null : [config.layersToTransform].flat(),
    modulesToSave: config.modulesToSave,
    ensureWeightTying: config.ensureWeightTying,
    bias: config.bias,
  };
}

function byRole(ledger: Ledger): Partial<Record<Role, number>> {
  const sums: Partial<Record<Role, number>> = {};
  for (const { role, bytes } of ledger.entries) sums[role] = (sums[role] ?? 0) + bytes;
  return sums;
}

function sizeOf(file: TensorFile): number {
  const sources = new Set([...file.tensors.values()].map(({ source }) => source));
  return [...sources].reduce((sum, { size }) => sum + size, 0);
}

function ledgerFields(ledger: Ledger): Pick<InspectResult, "counts" | "tensors"> {
  return {
    counts: { basis: ledger.basis, ...ledgerCounts(ledger) },
    tensors: ledger.entries.map(({ name, module, role, shape, dtype, bytes, parameters, trainable, group }) => ({
      name,
      module,
      role,
      shape,
      dtype,
      bytes,
      parameters,
      trainable,
      group,
    })),
  };
}

function strayNotes(ledger: Ledger): string[] {
  const stray = ledger.entries.filter(({ role, trainable }) => role === "other" && !trainable);
  return stray.length === 0
    ? []
    : [`${stray.length} tensors in the file are not explained by adapter_config.json, the first of them ${stray[0]?.name ?? ""}`];
}

/** What the trainer's files say of the tensors; null where there are none. */
async function evidenceIn(found: FoundPath, ledger: Ledger, isOrdered: boolean, opened: OpenFiles): Promise<CheckpointEvidence | null> {
  if (!found.files.has("trainer_state.json")) return null;
  return checkpointEvidence(ledger, await readTrainerFiles(found.folder, found.files, opened), isOrdered);
}

async function inspectAdapter(path: string, found: FoundPath, options: InspectOptions, opened: OpenFiles): Promise<InspectResult> {
  const configFile = join(found.folder, "adapter_config.json");
  const config = parsePeftConfig(await opened.json(configFile), configFile);
  const weights = await openWeights(found.folder, found.files, "adapter_model", opened);
  const base = options.base === undefined ? null : await readBase(options.base, opened);
  const spec = base?.spec ?? null;
  const record = await readAdapterRecord(found.folder);
  const tensors = weights.tensors.values();
  const read = readLedger(
    spec === null ? { tensors, config } : { tensors, config, spec, baseDtype: DTYPES[spec.torchDtype ?? ""] ?? "F32" },
  );
  const recorded = withRecordedGroups(read, record);
  const evidence = await evidenceIn(found, recorded, spec !== null, opened);
  const ledger = evidence?.ledger ?? recorded;
  const recordGroups = await recordedGroups(recorded, record);
  // What PEFT prints follows from the configuration, whatever a trainer froze afterwards.
  const counts = ledgerCounts(recorded);
  const bannerReason = base === null ? "without --base the number of all parameters is not known" : base.reason;
  return {
    kind: found.kind,
    path,
    architecture: base?.architecture ?? null,
    adapter: adapterOf(config),
    ...ledgerFields(ledger),
    banner: spec === null ? null : { peft: peftBanners(counts), unsloth: unsloth(counts) },
    bannerReason: spec === null ? bannerReason : null,
    bytes: { onDisk: sizeOf(weights), byRole: byRole(readLedger({ tensors: weights.tensors.values(), config })) },
    checkpoint: evidence?.checkpoint ?? null,
    groups: recordGroups.length > 0 ? recordGroups : (evidence?.groups ?? []),
    provenance: {
      baseModel: config.baseModelNameOrPath,
      revision: config.revision,
      peftVersion: config.peftVersion,
      base: base?.path ?? null,
      run: record?.run ?? null,
      step: record?.step ?? evidence?.checkpoint.step ?? null,
    },
    notes: [...strayNotes(recorded), ...recordNotes(recorded, record), ...(evidence?.notes ?? [])],
  };
}

async function inspectModel(path: string, found: FoundPath, opened: OpenFiles): Promise<InspectResult> {
  const base = await readBase(found.folder, opened);
  const weights = await openWeights(found.folder, found.files, "model", opened);
  const stored = modelLedger(weights, base.spec);
  // Files list a model's tensors in the order of their data, not in that of named_parameters().
  const evidence = await evidenceIn(found, stored, false, opened);
  const ledger = evidence?.ledger ?? stored;
  return {
    kind: found.kind,
    path,
    architecture: base.architecture,
    adapter: null,
    ...ledgerFields(ledger),
    banner: null,
    bannerReason: "a model without an adapter has no banner",
    bytes: { onDisk: sizeOf(weights), byRole: byRole(ledger) },
    checkpoint: evidence?.checkpoint ?? null,
    groups: evidence?.groups ?? [],
    provenance: { baseModel: null, revision: null, peftVersion: null, base: null, run: null, step: evidence?.checkpoint.step ?? null },
    notes: [...(base.reason === null ? [] : [base.reason]), ...(evidence?.notes ?? [])],
  };
}

/**
 * Says what is in a folder, from configuration and file headers; no weight is read.
 *
 * @param path folder of an adapter, a checkpoint, a run (its adapter, or its last checkpoint) or a model
 * @throws FILE_MISSING, FILE_UNREADABLE, JSON_INVALID, LFS_POINTER, PEFT_CONFIG_INVALID, MODEL_CONFIG_INVALID,
 * SAFETENSORS_INVALID, SAFETENSORS_TRUNCATED, SHARD_INDEX_INVALID, TORCH_FILE_INVALID, PICKLE_INVALID, PICKLE_UNSAFE
 * @example
 * const { counts, banner } = await inspectPath("runs/a/adapter", { base: "models/m" });
 */
export async function inspectPath(path: string, options: InspectOptions = {}): Promise<InspectResult> {
  const found = await findPath(path);
  const opened = new OpenFiles();
  try {
    return await (found.holds === "model" ? inspectModel(path, found, opened) : inspectAdapter(path, found, options, opened));
  } finally {
    await opened.close();
  }
}
