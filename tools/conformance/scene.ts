// Bases and adapters from their folders, and live models of them, through the package's doors.
import { join } from "node:path";
import { type AdapterSpec, adapterForEngine, adapterFromPeft, type ResolvedAdapter, resolveForEngine } from "../../src/adapter/index.ts";
import { loadRuntime, type Runtime } from "../../src/compute/index.ts";
import {
  type ActivationPolicy,
  type BaseOptions,
  type BaseWeights,
  CausalModel,
  loadModelFolder,
  loraPlans,
  type Parameter,
  readAdapterParameters,
} from "../../src/engine/index.ts";
import { openModelFolder } from "../../src/folders/index.ts";
import { type PeftConfig, parsePeftConfig, type TensorFile } from "../../src/formats/index.ts";
import { type ModelSpec, type Nf4Spec, parseModelConfig } from "../../src/model/index.ts";
import { once, readJsonFile, readTensors } from "./files.ts";

/** How the linear layers of a base are quantized; null: not. */
export type Quantization = Pick<Nf4Spec, "doubleQuant" | "skipModules"> | null;

/** What `load_in_4bit` means in the vectors: NF4, double quantization, the head left dense. */
export const LOAD_IN_4BIT: Quantization = { doubleQuant: true, skipModules: ["lm_head"] };

/** A base in memory. */
export interface LoadedBase {
  readonly spec: ModelSpec;
  readonly weights: BaseWeights;
  readonly quantization: Quantization;
}

/** An adapter's files. */
export interface LoadedAdapter {
  readonly config: PeftConfig;
  readonly spec: AdapterSpec;
  readonly tensors: TensorFile;
}

/** A model that can compute, with the adapter's tensors if it has one. */
export interface LiveModel {
  readonly model: CausalModel;
  readonly parameters: readonly Parameter[];
  readonly resolved: ResolvedAdapter | null;
}

/** The model that a folder's configuration describes. */
export async function readSpec(folder: string, file = "config.json"): Promise<ModelSpec> {
  return parseModelConfig(await readJsonFile<unknown>(folder, file), join(folder, file));
}

/** Loads a base; `quantize` makes NF4 of its dense linear layers. */
export async function loadBase(folder: string, quantize: Quantization = null, cache: BaseOptions["cache"] = "on"): Promise<LoadedBase> {
  const opened = await openModelFolder(folder);
  try {
    const choice = quantize === null ? null : { type: "nf4" as const, doubleQuant: quantize.doubleQuant };
    const weights = await loadModelFolder(opened, { quantization: choice, cache });
    return { spec: opened.spec, weights, quantization: quantize ?? opened.spec.quantization };
  } finally {
    await opened.folder.close();
  }
}

/** Reads an adapter's PEFT configuration. */
async function readPeftConfig(folder: string): Promise<PeftConfig> {
  const file = join(folder, "adapter_config.json");
  return parsePeftConfig(await readJsonFile<unknown>(file), file);
}

/** Loads an adapter's files. @throws ADAPTER_UNSUPPORTED for what is not even described */
export async function loadAdapter(folder: string): Promise<LoadedAdapter> {
  const config = await readPeftConfig(folder);
  return { config, spec: adapterFromPeft(config), tensors: await readTensors(folder, "adapter_model.safetensors") };
}

const runtime: () => Promise<Runtime> = once(() => loadRuntime());

/** Makes a model for the time of `use`. Dropout is off, as in the vectors. */
export async function withModel<T>(
  base: LoadedBase,
  adapter: LoadedAdapter | null,
  use: (live: LiveModel) => Promise<T>,
  activations: ActivationPolicy = "keep",
): Promise<T> {
  // All that the engine lacks is refused at once, as when an adapter is opened to be run.
  if (adapter !== null) adapterForEngine(adapter.config);
  const resolved = adapter === null ? null : resolveForEngine(base.spec, adapter.spec);
  const parameters =
    adapter === null || resolved === null
      ? []
      : await readAdapterParameters(adapter.tensors, {
          spec: adapter.spec,
          resolved,
          base: base.weights,
          // Nothing is drawn: all values come from the file.
          seed: 0,
          fullCopyDtype: "F32",
        });
  const model = new CausalModel({
    runtime: await runtime(),
    spec: base.spec,
    base: base.weights,
    parameters,
    lora: resolved === null ? new Map() : loraPlans(resolved),
    dropout: 0,
    activations,
    // The vectors' matrices are too small to share among threads.
    threads: 1,
  });
  try {
    return await use({ model, parameters, resolved });
  } finally {
    await model.dispose();
  }
}
