import { type AdapterSpec, adapterTensors, peftFromAdapter, type ResolvedAdapter } from "../adapter/index.ts";
import { InternalError, readText } from "../core/index.ts";
import { openFolder } from "../core/node/index.ts";
import type { Parameter } from "../engine/index.ts";
import { openModelFolder } from "../folders/index.ts";
import { openSafetensors, parsePeftConfig, serializePeftConfig, type TensorFile, type TensorToWrite } from "../formats/index.ts";
import { assertSameLedger, type Ledger, observeLedger, readLedger } from "../ledger/index.ts";
import type { ModelSpec } from "../model/index.ts";
import { type PlannedFile, parameterToWrite, type Reading, readLive } from "./checkpoint/index.ts";

/** PEFT's file names. */
const ADAPTER_FILES = { config: "adapter_config.json", weights: "adapter_model.safetensors" } as const;

/** An adapter ready to be written. */
export interface AdapterToSave {
  readonly spec: AdapterSpec;
  readonly resolved: ResolvedAdapter;
  readonly parameters: readonly Parameter[];
}

function tensorsToWrite({ resolved, parameters }: AdapterToSave, read: Reading): TensorToWrite[] {
  const byName = new Map(parameters.map((parameter) => [parameter.name, parameter]));
  return adapterTensors(resolved).map((tensor) => {
    const parameter = byName.get(tensor.aliasOf ?? tensor.liveName);
    if (parameter === undefined) throw new InternalError(`the adapter to be saved has no ${tensor.liveName}`);
    return { ...parameterToWrite(parameter, read), name: tensor.name };
  });
}

/** The files of an adapter, as PEFT loads them; `read` says where its tensors are read from, by default as they are live. */
export function adapterFiles(adapter: AdapterToSave, read: Reading = readLive): PlannedFile[] {
  return [
    { name: ADAPTER_FILES.weights, tensors: tensorsToWrite(adapter, read) },
    { name: ADAPTER_FILES.config, text: serializePeftConfig(peftFromAdapter(adapter.spec)) },
  ];
}

function trainableOf(ledger: Ledger): Ledger {
  return { ...ledger, entries: ledger.entries.filter((entry) => entry.trainable) };
}

/**
 * Reads a saved model's headers back and compares them with the live ledger; the
 * dtype is the writer's choice.
 *
 * @throws LEDGER_MISMATCH naming the tensors
 */
export async function assertSavedModel(folder: string, live: Ledger): Promise<void> {
  const { folder: opened, tensors } = await openModelFolder(folder);
  try {
    const saved = Array.from(tensors.tensors.values(), ({ name, shape, dtype, start, end }) => {
      return { name, shape, dtype, bytes: end - start, trainable: true, group: null };
    });
    assertSameLedger(trainableOf(live), observeLedger(saved), folder, { group: false, dtype: false });
  } finally {
    await opened.close();
  }
}

/**
 * Reads a saved adapter's headers back and compares their ledger with the live one.
 *
 * @throws LEDGER_MISMATCH naming the tensors
 */
export async function assertSavedLedger(folder: string, live: Ledger, spec: ModelSpec): Promise<void> {
  // It closes what was opened of it, also where the second file cannot be.
  const opened = await openFolder(folder);
  try {
    const configSource = await opened.open(ADAPTER_FILES.config);
    const weightsSource = await opened.open(ADAPTER_FILES.weights);
    const config = parsePeftConfig(JSON.parse(await readText(configSource)), configSource.name);
    const file: TensorFile = await openSafetensors(weightsSource);
    const saved = readLedger({ tensors: file.tensors.values(), config, spec });
    assertSameLedger(trainableOf(live), trainableOf(saved), folder, { group: false });
  } finally {
    await opened.close();
  }
}
