import { join } from "node:path";
import { bf16ToF32, f32ToBf16 } from "../codecs/index.ts";
import { evaluationSettings } from "../config/index.ts";
import { openFolder, writeFolderAtomic } from "../core/node/index.ts";
import type { BatchPosition } from "../data/index.ts";
import type { LogEntry } from "../formats/index.ts";
import type { Ledger } from "../ledger/index.ts";
import { ADAPTER_RECORD, type AdapterRecord, configHash, type EvaluationRecord, RECORD_SCHEMA_VERSION, RUN_FILES } from "../runs/index.ts";
import {
  type CheckpointState,
  indexedGroups,
  type LiveArray,
  type PlannedCheckpoint,
  type PlannedFile,
  parameterToWrite,
  type Reading,
  readLive,
  trainerFiles,
  writePlannedFile,
} from "./checkpoint/index.ts";
import type { Prepared } from "./prepare.ts";
import { adapterFiles, assertSavedLedger, assertSavedModel } from "./saved-adapter.ts";
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
  /** The position as a number of epochs, with its fraction. */
  readonly epoch: number;
  readonly livenessDone: boolean;
  readonly log: readonly LogEntry[];
  /** Held-out losses before the first update of the run, and the latest. */
  readonly first: readonly EvaluationRecord[];
  readonly last: readonly EvaluationRecord[];
  /** The same of answers, and the sample prompts as they were completed before. */
  readonly answers: CheckpointState["answers"];
  readonly samples: CheckpointState["samples"];
  readonly best: { readonly step: number; readonly value: number } | null;
  /** What early stopping remembers; null without it. */
  readonly stopping: CheckpointState["stopping"];
}

/** The run whose states are kept. */
export interface KeptRun {
  readonly id: string;
  readonly folder: string;
  readonly startedAt: string;
  /** What the bits of a result may depend on. */
  readonly environment: Readonly<Record<string, string | number>>;
  /** What was changed when the run was resumed. */
  readonly changes: readonly string[];
}

/** Says what a run leaves behind, file by file, and reads it back to compare its ledger with the live one. */
export class Keeper {
  readonly #run: KeptRun;
  readonly #prepared: Prepared;
  readonly #session: TrainingSession;
  readonly #observed: Ledger;

  constructor(run: KeptRun, prepared: Prepared, session: TrainingSession, observed: Ledger) {
    this.#run = run;
    this.#prepared = prepared;
    this.#session = session;
    this.#observed = observed;
  }

  /** Path of the run's folder. */
  get run(): string {
    return this.#run.folder;
  }

  #record(step: number, evaluations: readonly EvaluationRecord[]): PlannedFile {
    const { base, config } = this.#prepared;
    const record: AdapterRecord = {
      schemaVersion: RECORD_SCHEMA_VERSION,
      run: this.#run.id,
      startedAt: this.#run.startedAt,
      step,
      base: { path: base.folder, fingerprint: base.fingerprint },
      config,
      trainable: this.#observed.entries.filter((entry) => entry.trainable),
      evaluations,
    };
    return { name: ADAPTER_RECORD, text: `${JSON.stringify(record, null, 2)}\n` };
  }

  /** Whether the final weights are kept in fewer bits than the masters: a bf16 model that was trained in full. */
  get roundsAtEnd(): boolean {
    const { adapter, base } = this.#prepared;
    return adapter === null && base.spec.torchDtype === "bfloat16";
  }

  /** Rounds the live weights to what {@link final} will write, so that they can be evaluated as they are saved. */
  roundToSaved(): void {
    if (!this.roundsAtEnd) return;
    for (const { masterDtype, values } of this.#prepared.parameters) if (masterDtype === "F32") bf16ToF32(f32ToBf16(values), values);
  }

  /**
   * Files of the base that a trained model needs beside its weights. They are copied, so that a link that leads out of the
   * base's folder, which may be a stranger's, is refused. @throws FILE_UNREADABLE
   */
  async companions(): Promise<PlannedFile[]> {
    const { adapter, base } = this.#prepared;
    if (adapter !== null) return [];
    const folder = await openFolder(base.folder);
    try {
      const names = (await folder.list()).filter((name) => COMPANIONS.includes(name));
      for (const name of names) await folder.open(name);
      return names.map((name) => ({ name, copyOf: join(base.folder, name) }));
    } finally {
      await folder.close();
    }
  }

  /** Says where the weights go, once it is known where they are read from. */
  async #weights(step: number, evaluations: readonly EvaluationRecord[], dtype: "F32" | "BF16"): Promise<(read: Reading) => PlannedFile[]> {
    const { adapter, parameters } = this.#prepared;
    const companions = await this.companions();
    return (read) => {
      if (adapter !== null) return [...adapterFiles({ ...adapter, parameters }, read), this.#record(step, evaluations)];
      const tensors = parameters.map((parameter) => parameterToWrite(parameter, read, dtype));
      return [{ name: "model.safetensors", tensors }, ...companions];
    };
  }

  #verify(folder: string): Promise<void> {
    const { adapter, base } = this.#prepared;
    return adapter === null ? assertSavedModel(folder, this.#observed) : assertSavedLedger(folder, this.#observed, base.spec);
  }

  /** What a checkpoint holds and every update changes: masters and optimizer state. */
  get #memory(): LiveArray[] {
    const { slots } = this.#session.optimizer;
    return [...this.#prepared.parameters.map(({ values }) => values), ...slots.flatMap(({ state }) => Object.values(state))];
  }

  /** The checkpoint of where the run stands. */
  async checkpoint(progress: Progress): Promise<PlannedCheckpoint> {
    const { config } = this.#prepared;
    const { optimizer } = this.#session;
    const { step, steps, position, tokens, livenessDone, first, last, answers, samples, best, stopping } = progress;
    // Only what was measured on the weights as they are saved.
    const measured = last.filter((record) => record.step === step);
    const weights = await this.#weights(step, measured, "F32");
    const told = {
      ...progress,
      epochs: Math.max(1, Math.ceil((progress.epoch / Math.max(1, step)) * steps)),
      batchSize: config.training.batchSize,
      evaluateEvery: config.evaluation.everySteps,
      saveEvery: config.checkpoints.everySteps,
      seed: config.training.seed,
    };
    const parameters = indexedGroups(this.#session).flatMap(({ slots }) => slots.map(({ parameter }) => parameter.name));
    return {
      run: this.#run.folder,
      state: {
        step,
        steps,
        data: position,
        optimizer: { name: optimizer.name, step: optimizer.step, parameters },
        tokens,
        livenessDone,
        evaluations: { first, last },
        answers,
        samples,
        best,
        stopping,
        configHash: configHash(config),
        config,
        environment: this.#run.environment,
        changes: this.#run.changes,
      },
      memory: this.#memory,
      files: (read) => [...weights(read), ...trainerFiles(this.#session, told, read)],
      verify: (folder) => this.#verify(folder),
      retention: { keepLast: config.checkpoints.keepLast, best: this.#keepsBest ? (best?.step ?? null) : null },
    };
  }

  /** Also where the best weights are what the run is to end with. */
  get #keepsBest(): boolean {
    const { checkpoints, evaluation } = this.#prepared.config;
    return checkpoints.keepBest || evaluationSettings(evaluation).earlyStopping?.restoreBest === true;
  }

  /**
   * Writes the final adapter (or model) of the run; returns its path.
   *
   * @param isRejected true: under another name, under which nothing picks it up by itself
   */
  async final(step: number, evaluations: readonly EvaluationRecord[], isRejected = false): Promise<string> {
    const name = this.#prepared.adapter === null ? RUN_FILES.model : RUN_FILES.adapter;
    const folder = join(this.#run.folder, isRejected ? RUN_FILES.rejected : name);
    const files = await this.#weights(step, evaluations, this.roundsAtEnd ? "BF16" : "F32");
    await writeFolderAtomic(folder, async (temporary) => {
      for (const file of files(readLive)) await writePlannedFile(temporary, file);
      await this.#verify(temporary);
    });
    return folder;
  }
}
