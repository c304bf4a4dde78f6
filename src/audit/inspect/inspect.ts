import { adapterFromPeft } from "../../adapter/index.ts";
import { isFloatDtype } from "../../codecs/index.ts";
import { type ErrorCode, isHeirloomError } from "../../core/index.ts";
import { type OpenedPath, OpenPaths, shardedState, weightsFile } from "../../folders/index.ts";
import { isSafetensorsDtype, type PeftConfig, printable, type TensorFile } from "../../formats/index.ts";
import { type Ledger, type LedgerEntry, ledgerCounts, peftBanners, predictLedger, type Role, readLedger } from "../../ledger/index.ts";
import { type ModelSpec, parseModelConfig } from "../../model/index.ts";
import { readAdapterRecord } from "../../runs/index.ts";
import { modelLedger } from "../model-ledger.ts";
import { recordedBase } from "../recorded-base.ts";
import { recordedGroups, recordNotes, withRecordedGroups } from "../recorded-groups.ts";
import { readTrainerFiles } from "../trainer-checkpoint.ts";
import { type CheckpointEvidence, checkpointEvidence } from "../trainer-checkpoint-ledger.ts";
import { inspectedAdapter } from "./inspected-adapter.ts";
import type { InspectOptions, InspectResult } from "./types.ts";
import { unsloth } from "./unsloth-banner.ts";

/** A base model as far as its config.json tells. */
interface Base {
  readonly path: string | null;
  readonly architecture: string | null;
  /** Null if the architecture is not one that is known here. */
  readonly spec: ModelSpec | null;
  /** Why it is not known. */
  readonly reason: string | null;
}

const NO_BASE: Base = {
  path: null,
  architecture: null,
  spec: null,
  reason: "without --base the number of all parameters is not known",
};
const NO_WEIGHTS = "no weights were given: the tensors are those that the configuration asks for";
const UNSUPPORTED: ReadonlySet<ErrorCode> = new Set(["ARCHITECTURE_UNSUPPORTED", "QUANTIZATION_UNSUPPORTED"]);
const PACKED: Readonly<Record<string, string>> = { QUANTIZATION_UNSUPPORTED: " (packed weights are counted as they are stored)" };
const UNKNOWN_TENSORS = "no weights were given, so the tensors are not known";
const DTYPES: Readonly<Record<string, string>> = { bfloat16: "BF16", float16: "F16", float32: "F32" };

function architectureOf(json: unknown): string | null {
  if (typeof json !== "object" || json === null) return null;
  const { architectures, model_type: type } = json as Record<string, unknown>;
  if (Array.isArray(architectures) && typeof architectures[0] === "string") return architectures[0];
  return typeof type === "string" ? type : null;
}

const baseDtype = ({ torchDtype }: ModelSpec): string => DTYPES[torchDtype ?? ""] ?? "F32";

async function readBase(path: string, opened: OpenedPath): Promise<Base> {
  const file = opened.configFile ?? "config.json";
  const json = await opened.json(file);
  try {
    return { path, architecture: architectureOf(json), spec: parseModelConfig(json, opened.where(file)), reason: null };
  } catch (error) {
    // What the engine does not run can still be looked at.
    if (!isHeirloomError(error) || !UNSUPPORTED.has(error.code)) throw error;
    return { path, architecture: architectureOf(json), spec: null, reason: `${error.problems[0].message}${PACKED[error.code] ?? ""}` };
  }
}

/** Tensors of a base of unknown architecture by its headers; empty if it is known, has no weights there, or packs them in a way that is not read. */
async function storedBase({ spec }: Base, opened: OpenedPath): Promise<readonly LedgerEntry[]> {
  if (spec !== null || opened.kind === "file" || weightsFile(opened.files, "model") === null) return [];
  const { entries } = modelLedger(await opened.requireWeights(), null);
  return entries.every(({ dtype, role }) => role === "quantized_base" || (isSafetensorsDtype(dtype) && isFloatDtype(dtype))) ? entries : [];
}

function byRole(ledger: Ledger): Partial<Record<Role, number>> {
  const sums: Partial<Record<Role, number>> = {};
  for (const { role, bytes } of ledger.entries) sums[role] = (sums[role] ?? 0) + bytes;
  return sums;
}

function sizeOf(file: TensorFile | null): number {
  const sources = new Set([...(file?.tensors.values() ?? [])].map(({ source }) => source));
  return [...sources].reduce((sum, { size }) => sum + size, 0);
}

function ledgerFields(ledger: Ledger): Pick<InspectResult, "counts" | "tensors"> {
  return {
    counts: { basis: ledger.basis, ...ledgerCounts(ledger) },
    tensors: ledger.entries.map(({ state: _present, ...tensor }) => tensor),
  };
}

function strayNotes(ledger: Ledger, config: PeftConfig | null): string[] {
  if (config === null) return ["without adapter_config.json it is not known which of the tensors other than LoRA's are trained"];
  if (config.kind === "other")
    return [
      `the PEFT type ${printable(config.peftType, 40)} is read by names and shapes only: which of its tensors are trained is not known`,
    ];
  const stray = ledger.entries.filter(({ role, trainable }) => role === "other" && !trainable);
  return stray.length === 0
    ? []
    : [`${stray.length} tensors in the file are not explained by adapter_config.json, the first of them ${stray[0]?.name ?? ""}`];
}

/** What the trainer's files say of the tensors; null where there are none. */
async function evidenceIn(opened: OpenedPath, ledger: Ledger, isOrdered: boolean): Promise<CheckpointEvidence | null> {
  if (!opened.files.has("trainer_state.json") && opened.holds !== "trainer") return null;
  return checkpointEvidence(ledger, await readTrainerFiles(opened), isOrdered);
}

/** What a configuration without weights asks for, as far as the base is known. */
function predictedAdapter(config: PeftConfig | null, spec: ModelSpec | null): Ledger {
  if (config?.kind !== "lora" || spec === null) return { basis: "predicted", entries: [] };
  return predictLedger(spec, adapterFromPeft(config), [], { baseDtype: baseDtype(spec), quantization: spec.quantization });
}

/** What the list of tensors rests on where there are no weights. */
function noWeightsNote({ entries }: Ledger, config: PeftConfig | null, spec: ModelSpec | null): string {
  if (entries.length > 0) return NO_WEIGHTS;
  if (config?.kind === "other")
    return `${UNKNOWN_TENSORS}: a configuration of the PEFT type ${printable(config.peftType, 40)} does not tell them`;
  if (config !== null && spec === null) return `${UNKNOWN_TENSORS}: with --base those that the configuration asks for are listed`;
  return UNKNOWN_TENSORS;
}

function adapterLedger(weights: TensorFile | null, config: PeftConfig | null, spec: ModelSpec | null): Ledger {
  if (weights === null) return predictedAdapter(config, spec);
  const tensors = weights.tensors.values();
  return readLedger(spec === null ? { tensors, config } : { tensors, config, spec, baseDtype: baseDtype(spec) });
}

async function inspectAdapter(path: string, opened: OpenedPath, base: Base, stored: readonly LedgerEntry[]): Promise<InspectResult> {
  const config = await opened.adapterConfig();
  const weights = await opened.weights();
  const { spec } = base;
  const record = await readAdapterRecord(opened.folder);
  const own = withRecordedGroups(adapterLedger(weights, config, spec), record);
  const recorded = { ...own, entries: [...stored, ...own.entries] };
  const evidence = await evidenceIn(opened, recorded, spec !== null);
  const ledger = evidence?.ledger ?? recorded;
  const recordGroups = await recordedGroups(recorded, record);
  // What PEFT prints follows from the configuration, whatever a trainer froze afterwards.
  const counts = ledgerCounts(recorded);
  const unknownBase = stored.length === 0 ? base.reason : null;
  const bannerReason = config === null ? "without adapter_config.json it is not known what is trained" : unknownBase;
  return {
    kind: opened.kind,
    path,
    architecture: base.architecture,
    adapter: config === null ? null : inspectedAdapter(config),
    ...ledgerFields(ledger),
    banner: bannerReason === null ? { peft: peftBanners(counts), unsloth: unsloth(counts) } : null,
    bannerReason,
    bytes: { onDisk: sizeOf(weights), byRole: byRole(adapterLedger(weights, config, null)) },
    checkpoint: evidence?.checkpoint ?? null,
    groups: recordGroups.length > 0 ? recordGroups : (evidence?.groups ?? []),
    provenance: {
      baseModel: config?.baseModelNameOrPath ?? null,
      revision: config?.revision ?? null,
      peftVersion: config?.peftVersion ?? null,
      base: base.path,
      run: record?.run ?? null,
      step: record?.step ?? evidence?.checkpoint.step ?? null,
    },
    notes: [
      ...(weights === null ? [noWeightsNote(recorded, config, spec)] : strayNotes(recorded, config)),
      ...(weights === null ? [] : recordNotes(recorded, record)),
      ...(stored.length === 0 ? [] : [`${base.reason}: the base's parameters are counted from its files`]),
      ...(evidence?.notes ?? []),
      ...shardedNotes(opened),
    ],
  };
}

/** The weights are whole, and the optimizer's state is in pieces beside them. */
function shardedNotes({ files }: OpenedPath): string[] {
  const found = shardedState(files);
  return found === null
    ? []
    : [
        `its optimizer's state lies in the pieces that ${found.by} left (${found.sign}), which are not read; to gather weights: ${found.remedy}`,
      ];
}

function modelOrPredicted(weights: TensorFile | null, spec: ModelSpec | null): Ledger {
  if (weights !== null) return modelLedger(weights, spec);
  return spec === null
    ? { basis: "predicted", entries: [] }
    : predictLedger(spec, null, [], { baseDtype: baseDtype(spec), quantization: spec.quantization });
}

/** A model, or what a trainer left without weights beside it. */
async function inspectModel(path: string, opened: OpenedPath): Promise<InspectResult> {
  if (opened.gguf !== null) return (await import("./inspect-gguf.ts")).inspectGguf(path, opened.gguf);
  const base = opened.configFile === null ? { ...NO_BASE, reason: null } : await readBase(path, opened);
  const weights = await opened.weights();
  const stored = modelOrPredicted(weights, base.spec);
  // Files list a model's tensors in the order of their data, not in that of named_parameters().
  const evidence = await evidenceIn(opened, stored, false);
  const ledger = evidence?.ledger ?? stored;
  return {
    kind: opened.kind,
    path,
    architecture: base.architecture,
    adapter: null,
    ...ledgerFields(ledger),
    banner: null,
    bannerReason: opened.holds === "trainer" ? "a trainer's state has no banner" : "a model without an adapter has no banner",
    bytes: { onDisk: sizeOf(weights), byRole: byRole(ledger) },
    checkpoint: evidence?.checkpoint ?? null,
    groups: evidence?.groups ?? [],
    provenance: { baseModel: null, revision: null, peftVersion: null, base: null, run: null, step: evidence?.checkpoint.step ?? null },
    notes: [
      ...(base.reason === null ? [] : [`${base.reason}: it can be looked at and judged, not trained here`]),
      ...(weights === null && opened.holds === "model" ? [noWeightsNote(stored, null, base.spec)] : []),
      ...(evidence?.notes ?? []),
      ...shardedNotes(opened),
    ],
  };
}

/**
 * Says what a path holds, from configuration and file headers; no weight is read.
 *
 * @param path folder of an adapter, a checkpoint, a run (its adapter, or its last checkpoint) or a model; one file of these; or
 * either on the hub, as `hf://owner/name[@revision][/path]`
 * @throws FILE_MISSING, FILE_UNREADABLE, JSON_INVALID, LFS_POINTER, PEFT_CONFIG_INVALID, MODEL_CONFIG_INVALID,
 * SAFETENSORS_INVALID, SAFETENSORS_TRUNCATED, SHARD_INDEX_INVALID, TORCH_FILE_INVALID, PICKLE_INVALID, PICKLE_UNSAFE, WEIGHTS_SHARDED, NETWORK
 * @example
 * const { counts, banner } = await inspectPath("runs/a/adapter", { base: "models/m" });
 */
export async function inspectPath(path: string, options: InspectOptions = {}): Promise<InspectResult> {
  const paths = new OpenPaths();
  try {
    const opened = await paths.open(path);
    if (opened.holds !== "adapter") return await inspectModel(path, opened);
    const basePath = options.base ?? (await recordedBase(opened));
    if (basePath === null) return await inspectAdapter(path, opened, NO_BASE, []);
    const openedBase = await paths.open(basePath, { asBase: true });
    const base = await readBase(basePath, openedBase);
    return await inspectAdapter(path, opened, base, await storedBase(base, openedBase));
  } finally {
    await paths.close();
  }
}
