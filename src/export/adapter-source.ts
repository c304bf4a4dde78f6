import { type AdapterSpec, adapterFromPeft } from "../adapter/index.ts";
import { HeirloomError } from "../core/index.ts";
import { openFolder } from "../core/node/index.ts";
import { basePathOf, fileIn, locateModel, type ModelFolder, type OpenFolder, openModelFolder, openWeights } from "../folders/index.ts";
import { type PeftConfig, parsePeftConfig, readJson, type TensorFile } from "../formats/index.ts";
import { type AdapterRecord, type Fingerprint, fingerprintModel, readAdapterRecord, requireSameBase } from "../runs/index.ts";

const ADAPTER_CONFIG = "adapter_config.json";

/** An adapter opened to be written down as something else: all that PEFT's files can say, also what the engine does not run. */
export interface AdapterSource {
  readonly folder: OpenFolder;
  readonly config: PeftConfig;
  readonly spec: AdapterSpec;
  readonly tensors: TensorFile;
  readonly record: AdapterRecord | null;
}

/**
 * Opens the adapter that a path is or holds.
 *
 * @throws FILE_MISSING also if it is a model; GATE_FAILED, RECORD_INVALID, PEFT_CONFIG_INVALID, ADAPTER_UNSUPPORTED, and what opening weights throws
 */
export async function openAdapterSource(path: string): Promise<AdapterSource> {
  const located = await locateModel(path);
  if (located.kind !== "adapter") {
    throw new HeirloomError("FILE_MISSING", "expected an adapter, found a whole model", {
      where: path,
      hint: "name the folder of an adapter, a checkpoint or a run",
    });
  }
  const folder = await openFolder(located.path);
  try {
    const config = parsePeftConfig(await readJson(await folder.open(ADAPTER_CONFIG)), fileIn(located.path, ADAPTER_CONFIG));
    const tensors = await openWeights(folder, new Set(await folder.list()), "adapter_model");
    return { folder, config, spec: adapterFromPeft(config), tensors, record: await readAdapterRecord(folder) };
  } catch (error) {
    await folder.close();
    throw error;
  }
}

/** A base model with what identifies it. */
export interface BaseSource {
  readonly model: ModelFolder;
  readonly fingerprint: Fingerprint;
}

/**
 * Opens the base of an adapter: the one named, else that of its record, else that of its configuration.
 *
 * @throws FILE_MISSING, BASE_MISMATCH, and what opening a model throws
 */
export async function openBaseOf(adapter: AdapterSource, given: string | undefined): Promise<BaseSource> {
  const path = basePathOf(adapter, given);
  const model = await openModelFolder(path);
  try {
    const fingerprint = await fingerprintModel(model.folder);
    requireSameBase(adapter.record, { folder: path, fingerprint });
    return { model, fingerprint };
  } catch (error) {
    await model.folder.close();
    throw error;
  }
}
