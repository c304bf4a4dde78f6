import { type AdapterSpec, adapterTensors, peftFromAdapter, type ResolvedAdapter, storedAdapter } from "../../adapter/index.ts";
import type { OptimizerName } from "../../config/index.ts";
import {
  adamW8bitStateDict,
  adamWStateDict,
  planSafetensors,
  type SafetensorsDtype,
  serializePeftConfig,
  type TensorPlan,
  type TensorToSave,
  torchFileBytes,
  torchTensor,
} from "../../formats/index.ts";
import { DEFAULT_GROUP, hasEightBitMoments, hasWeightDecay, type Ledger, type LedgerEntry, MOMENT_BLOCK } from "../../ledger/index.ts";
import type { ModelSpec } from "../../model/index.ts";

/** A file that the run will write. */
export interface PlannedFile {
  /** Path inside the run's folder; `checkpoint-N` stands for each checkpoint. */
  readonly file: string;
  /** Size in bytes, headers included. */
  readonly bytes: number;
  /** Of them, the tensors' data. */
  readonly tensorBytes: number;
}

/** safetensors files of PyTorch's say so in their metadata, and so do ours. */
const METADATA = { format: "pt" };

function planned(file: string, tensors: readonly TensorPlan[]): PlannedFile {
  const { bytes, header } = planSafetensors(tensors, METADATA);
  return { file, bytes, tensorBytes: bytes - header.byteLength };
}

function adapterFiles(
  folder: string,
  spec: ModelSpec,
  adapter: AdapterSpec,
  resolved: ResolvedAdapter,
  copies: SafetensorsDtype,
): PlannedFile[] {
  const dtypeOf = (role: string): SafetensorsDtype => (role === "full_copy" ? copies : "F32");
  const tensors = adapterTensors(resolved).map(({ name, shape, role }) => ({ name, shape, dtype: dtypeOf(role) }));
  const config = new TextEncoder().encode(serializePeftConfig(peftFromAdapter(storedAdapter(spec, adapter)))).byteLength;
  return [
    planned(`${folder}/adapter_model.safetensors`, tensors),
    { file: `${folder}/adapter_config.json`, bytes: config, tensorBytes: 0 },
  ];
}

/** The groups as the file has them: each learning-rate group, or the Trainer's two where there is only one. */
function optimizerGroups(trained: readonly LedgerEntry[], names: readonly string[]): (readonly LedgerEntry[])[] {
  if (names.length > 1) return names.map((group) => trained.filter((entry) => (entry.group ?? DEFAULT_GROUP) === group));
  return [trained.filter(({ name }) => hasWeightDecay(name)), trained.filter(({ name }) => !hasWeightDecay(name))];
}

/** A tensor of which only the size counts: what its numbers are is not known yet. */
const sized = (dtype: "F32" | "U8", shape: readonly number[]): TensorToSave => torchTensor(dtype, shape, () => []);

/** The state of AdamW in 8 bits, as bitsandbytes keeps it. */
function eightBitState(entry: LedgerEntry): ReadonlyMap<string, TensorToSave> {
  const { shape, parameters } = entry;
  if (!hasEightBitMoments(entry)) return new Map(["state1", "state2"].map((name) => [name, sized("F32", shape)]));
  const moment = (i: number): [string, TensorToSave][] => [
    [`state${i}`, sized("U8", shape)],
    [`absmax${i}`, sized("F32", [Math.ceil(parameters / MOMENT_BLOCK)])],
    [`qmap${i}`, sized("F32", [256])],
  ];
  return new Map([...moment(1), ...moment(2)]);
}

function bytesOf(tensors: Iterable<TensorToSave>): number {
  let total = 0;
  for (const { storage } of tensors) total += storage.elements * (storage.dtype === "F32" ? 4 : 1);
  return total;
}

function optimizerFile(ledger: Ledger, groupNames: readonly string[], optimizer: OptimizerName): PlannedFile {
  const trained = ledger.entries.filter(({ trainable }) => trainable);
  const placed: LedgerEntry[] = [];
  const groups = optimizerGroups(trained, groupNames).map((entries) => {
    const params = entries.map((entry) => placed.push(entry) - 1);
    return { lr: 0, initialLr: 0, betas: [0, 0] as const, eps: 0, weightDecay: 0, params };
  });
  const file = "checkpoint-N/optimizer.pt";
  if (optimizer === "adamw8bit") {
    const states = placed.map(eightBitState);
    const parameters = new Map(states.map((tensors, index) => [index, { step: 1, tensors }]));
    const tensorBytes = states.reduce((sum, tensors) => sum + bytesOf(tensors.values()), 0);
    return { file, bytes: torchFileBytes(adamW8bitStateDict(parameters, groups), "optimizer"), tensorBytes };
  }
  const states = placed.map(({ shape }) => ({ step: sized("F32", []), expAvg: sized("F32", shape), expAvgSq: sized("F32", shape) }));
  const parameters = new Map(states.map((state, index) => [index, state]));
  const tensorBytes = states.reduce((sum, state) => sum + bytesOf(Object.values(state)), 0);
  return { file, bytes: torchFileBytes(adamWStateDict(parameters, groups), "optimizer"), tensorBytes };
}

function modelFile(folder: string, ledger: Ledger, dtype: SafetensorsDtype): PlannedFile {
  return planned(
    `${folder}/model.safetensors`,
    ledger.entries.map(({ name, shape }) => ({ name, shape, dtype })),
  );
}

/**
 * The files of tensors that a run writes, to the byte. Records and logs are not
 * listed: they depend on paths, times and data.
 */
export function plannedFiles(
  spec: ModelSpec,
  ledger: Ledger,
  adapter: { readonly spec: AdapterSpec; readonly resolved: ResolvedAdapter } | null,
  bf16Copies: boolean,
  groupNames: readonly string[],
  optimizer: OptimizerName,
): PlannedFile[] {
  if (adapter === null) {
    // The final model has the base's own dtype; a checkpoint keeps the fp32 masters.
    const final = spec.torchDtype === "bfloat16" ? "BF16" : "F32";
    return [modelFile("model", ledger, final), modelFile("checkpoint-N", ledger, "F32"), optimizerFile(ledger, groupNames, optimizer)];
  }
  const copies = bf16Copies ? "BF16" : "F32";
  return [
    ...adapterFiles("adapter", spec, adapter.spec, adapter.resolved, copies),
    ...adapterFiles("checkpoint-N", spec, adapter.spec, adapter.resolved, copies),
    optimizerFile(ledger, groupNames, optimizer),
  ];
}
