import { HeirloomError } from "../core/index.ts";
import { OpenPaths, readModelSpec } from "../folders/index.ts";
import type { StoredEntry } from "../ledger/index.ts";
import { type AdapterFacts, type ExplainResult, explain } from "./explain/index.ts";
import { readLog } from "./read-log.ts";

/** What to explain: a text or a log file, and what is known beside it. */
export interface ExplainRequest {
  /** A trainer's line, a log with some of them, or one to three numbers. */
  readonly text?: string;
  /** A file to take the text from instead. */
  readonly log?: string;
  /** Folder of the base model, or its config.json. */
  readonly base: string;
  /** Folder of the adapter, the checkpoint or the run that the banner is said to be of. */
  readonly adapter?: string;
  /** How the commands in the advice name base and adapter. @defaultValue their paths */
  readonly names?: { readonly base: string; readonly adapter?: string };
}

/** Configuration and headers of an adapter. */
async function adapterFacts(path: string, paths: OpenPaths): Promise<AdapterFacts> {
  const opened = await paths.open(path);
  const config = await opened.adapterConfig();
  if (config === null) {
    throw new HeirloomError("PEFT_CONFIG_INVALID", "expected an adapter, found a model, or weights without adapter_config.json", {
      where: path,
      hint: "name a folder with adapter_config.json, or leave --adapter out",
    });
  }
  const weights = await opened.requireWeights();
  const tensors: StoredEntry[] = [...weights.tensors.values()].map(({ name, dtype, shape }) => ({ name, dtype, shape }));
  return { config, tensors };
}

/**
 * {@link explain} from files: the base by its config.json, an adapter by its
 * configuration and headers, the text from a log if one is named.
 *
 * @throws USAGE if there is no count of trainable parameters in the text
 * @throws FILE_MISSING, FILE_UNREADABLE, JSON_INVALID, LFS_POINTER, MODEL_CONFIG_INVALID, ARCHITECTURE_UNSUPPORTED,
 * PEFT_CONFIG_INVALID, SAFETENSORS_INVALID, SAFETENSORS_TRUNCATED
 * @example
 * const { hypotheses } = await explainFiles({ text: "trainable params: 167,772,160 (1.81%)", base: "models/m" });
 */
export async function explainFiles({ text, log, base, adapter, names }: ExplainRequest): Promise<ExplainResult> {
  if ((text === undefined) === (log === undefined)) {
    throw new HeirloomError("USAGE", `expected a banner or a log file, found ${text === undefined ? "neither" : "both"}`, {
      hint: "heirloom explain 'trainable params: …' --base BASE, or heirloom explain --log train.log --base BASE",
    });
  }
  const paths = new OpenPaths();
  try {
    const spec = await readModelSpec(base);
    const facts = adapter === undefined ? {} : { adapter: await adapterFacts(adapter, paths), adapterName: names?.adapter ?? adapter };
    const content = log === undefined ? (text ?? "") : await readLog(log);
    return explain(content, spec, { ...facts, baseName: names?.base ?? base });
  } finally {
    await paths.close();
  }
}
