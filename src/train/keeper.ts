import { copyFile } from "node:fs/promises";
import { join } from "node:path";
import { encodeFromF32 } from "../codecs/index.ts";
import { fileError, writeFileAtomic, writeFolderAtomic, writeTextAtomic } from "../core/node/index.ts";
import type { BatchPosition } from "../data/index.ts";
import { openModelFolder } from "../folders/index.ts";
import { encodeSafetensors } from "../formats/index.ts";
import type { Ledger } from "../ledger/index.ts";
import { ADAPTER_RECORD, type AdapterRecord, type EvaluationRecord, RECORD_SCHEMA_VERSION, RUN_FILES } from "../runs/index.ts";
import { writeCheckpoint } from "./checkpoint.ts";
import type { Prepared } from "./prepare.ts";
import { assertSavedLedger, assertSavedModel, saveAdapter } from "./saved-adapter.ts";
import type { TrainingSession } from "./session.ts";

/** Files of a base that a trained model needs beside its weights. */
const COMPANIONS = [
  "config.json",
  "generation_config.json",
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "chat_template.jinja",
];

/** Progress that a checkpoint records. */
export interface Progress {
  readonly step: number;
  readonly steps: number;
  readonly tokens: number;
  readonly position: BatchPosition;
  readonly livenessDone: boolean;
}

/** Writes what a run leaves behind, and reads it back to compare its ledger with the live one. */
export class Keeper {
  readonly #run: { readonly id: string; readonly folder: string; readonly startedAt: string };
  readonly #prepared: Prepared;
  readonly #session: TrainingSession;
  readonly #observed: Ledger;
  readonly #configHash: string;

  constructor(
    run: { readonly id: string; readonly folder: string; readonly startedAt: string },
    prepared: Prepared,
    session: TrainingSession,
    observed: Ledger,
    configHash: string,
  ) {
    this.#run = run;
    this.#prepared = prepared;
    this.#session = session;
    this.#observed = observed;
    this.#configHash = configHash;
  }

  #record(step: number, evaluations: readonly EvaluationRecord[]): AdapterRecord {
    const { base, config } = this.#prepared;
    return {
      schemaVersion: RECORD_SCHEMA_VERSION,
      run: this.#run.id,
      startedAt: this.#run.startedAt,
      step,
      base: { path: base.folder, fingerprint: base.fingerprint },
      config,
      trainable: this.#observed.entries.filter((entry) => entry.trainable),
      evaluations,
    };
  }

  /** @param masters true: fp32 as trained, for a checkpoint; false: the base's own dtype. */
  async #writeModel(folder: string, masters: boolean): Promise<void> {
    const { base, parameters } = this.#prepared;
    const dtype = masters || base.spec.torchDtype !== "bfloat16" ? "F32" : "BF16";
    const tensors = parameters.map(
      ({ diskName, shape, values }) => ({ name: diskName, dtype, shape, chunks: () => [encodeFromF32(dtype, values)] }) as const,
    );
    await writeFileAtomic(join(folder, "model.safetensors"), encodeSafetensors(tensors, { format: "pt" }));
    const model = await openModelFolder(base.folder);
    try {
      for (const name of await model.folder.list()) {
        if (!COMPANIONS.includes(name)) continue;
        await copyFile(join(base.folder, name), join(folder, name)).catch((error: unknown) => {
          throw fileError(error, join(base.folder, name));
        });
      }
    } finally {
      await model.folder.close();
    }
  }

  async #writeWeights(folder: string, step: number, evaluations: readonly EvaluationRecord[], masters: boolean): Promise<void> {
    const { adapter, parameters, base } = this.#prepared;
    if (adapter === null) {
      await this.#writeModel(folder, masters);
      await assertSavedModel(folder, this.#observed);
      return;
    }
    await saveAdapter(folder, { ...adapter, parameters });
    await writeTextAtomic(join(folder, ADAPTER_RECORD), `${JSON.stringify(this.#record(step, evaluations), null, 2)}\n`);
    await assertSavedLedger(folder, this.#observed, base.spec);
  }

  /** Writes `checkpoint-<step>` whole or not at all; returns its path. */
  checkpoint(progress: Progress, evaluations: readonly EvaluationRecord[]): Promise<string> {
    const { optimizer } = this.#session;
    const state = {
      global_step: progress.step,
      max_steps: progress.steps,
      data: progress.position,
      optimizer_step: optimizer.step,
      num_input_tokens_seen: progress.tokens,
      liveness_done: progress.livenessDone,
      config_hash: this.#configHash,
    };
    const writeWeights = (folder: string): Promise<void> => this.#writeWeights(folder, progress.step, evaluations, true);
    return writeCheckpoint(this.#run.folder, { state, optimizer, writeWeights }, this.#prepared.config.checkpoints.keepLast);
  }

  /** Writes the final adapter (or model) of the run; returns its path. */
  async final(step: number, evaluations: readonly EvaluationRecord[]): Promise<string> {
    const folder = join(this.#run.folder, this.#prepared.adapter === null ? RUN_FILES.model : RUN_FILES.adapter);
    await writeFolderAtomic(folder, (temporary) => this.#writeWeights(temporary, step, evaluations, false));
    return folder;
  }
}
