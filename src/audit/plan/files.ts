import { type AdapterSpec, adapterTensors, peftFromAdapter, type ResolvedAdapter, storedAdapter } from "../../adapter/index.ts";
import { planSafetensors, type SafetensorsDtype, serializePeftConfig, type TensorPlan } from "../../formats/index.ts";
import type { Ledger } from "../../ledger/index.ts";
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

function optimizerFile(ledger: Ledger): PlannedFile {
  const trained = ledger.entries.filter(({ trainable }) => trainable);
  const tensors = trained.flatMap(({ name, shape }) =>
    ["exp_avg", "exp_avg_sq"].map((kind) => ({ name: `${kind}.${name}`, dtype: "F32" as const, shape })),
  );
  return planned("checkpoint-N/optimizer.safetensors", tensors);
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
): PlannedFile[] {
  if (adapter === null) {
    // The final model has the base's own dtype; a checkpoint keeps the fp32 masters.
    const final = spec.torchDtype === "bfloat16" ? "BF16" : "F32";
    return [modelFile("model", ledger, final), modelFile("checkpoint-N", ledger, "F32"), optimizerFile(ledger)];
  }
  const copies = bf16Copies ? "BF16" : "F32";
  return [
    ...adapterFiles("adapter", spec, adapter.spec, adapter.resolved, copies),
    ...adapterFiles("checkpoint-N", spec, adapter.spec, adapter.resolved, copies),
    optimizerFile(ledger),
  ];
}
