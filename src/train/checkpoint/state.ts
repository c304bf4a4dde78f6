import { join } from "node:path";
import { z } from "zod";
import type { RunConfig } from "../../config/index.ts";
import { HeirloomError, isHeirloomError, readText } from "../../core/index.ts";
import { openFile } from "../../core/node/index.ts";
import { parseJson } from "../../formats/index.ts";
import type { AnswerRecord, EvaluationRecord } from "../../runs/index.ts";
import type { FileChecksum } from "./files.ts";

/** A file of the checkpoint's own folder: the checkpoint may be a stranger's, and its name is joined to a path. */
const FILE_NAME = z.string().regex(/^(?!\.\.?$)[\w.-]+$/, "expected the name of a file inside the checkpoint");

/** Where a checkpoint keeps what the Trainer's own files have no place for. */
export const STATE_FILE = "heirloom_state.json";
/** Version of that file. */
const STATE_VERSION = 1;

const count = z.number().int().nonnegative();
const evaluation = z.object({
  dataset: z.string(),
  fingerprint: z.string(),
  step: count,
  loss: z.number(),
  labelTokens: count,
  conditions: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).optional(),
});
const answer = z.object({
  dataset: z.string(),
  fingerprint: z.string(),
  step: count,
  exactMatch: z.number(),
  f1: z.number(),
  rows: count,
});

const stateSchema = z.object({
  schemaVersion: z.literal(STATE_VERSION),
  /** Updates done, and updates of the whole run. */
  step: count,
  steps: count,
  /** Where the data stand. */
  data: z.object({ epoch: count, index: count }),
  optimizer: z.object({
    name: z.string(),
    /** Updates that the optimizer has counted. */
    step: count,
    /** Live name of the parameter at each index of optimizer.pt. */
    parameters: z.array(z.string()),
  }),
  /** Real tokens so far. */
  tokens: count,
  livenessDone: z.boolean(),
  /** Held-out losses before the first update, and the latest ones. */
  evaluations: z.object({ first: z.array(evaluation), last: z.array(evaluation) }),
  /** The same of answers. */
  answers: z.object({ first: z.array(answer), last: z.array(answer) }).default({ first: [], last: [] }),
  /** Sample prompts as they were completed before the first update. */
  samples: z.array(z.object({ prompt: z.string(), text: z.string() })).default([]),
  /** The lowest held-out loss. */
  best: z.object({ step: count, value: z.number() }).nullable(),
  /** What early stopping remembers. */
  stopping: z.object({ best: z.number().nullable(), waited: count }).nullable().default(null),
  configHash: z.string(),
  /** Complete: what the run goes on with. */
  config: z.looseObject({}),
  /** What the bits of a result may depend on. */
  environment: z.record(z.string(), z.union([z.string(), z.number()])),
  /** What was changed when the run was resumed, in order: `training.steps=200`. */
  changes: z.array(z.string()).default([]),
  /** The other files of the checkpoint. */
  files: z.array(z.object({ name: FILE_NAME, bytes: count, sha256: z.string() })),
});

/**
 * Everything that the next update depends on besides weights and the optimizer's
 * tensors. Random numbers need no state: they are counted by step.
 */
export interface CheckpointState {
  readonly step: number;
  readonly steps: number;
  readonly data: { readonly epoch: number; readonly index: number };
  readonly optimizer: { readonly name: string; readonly step: number; readonly parameters: readonly string[] };
  readonly tokens: number;
  readonly livenessDone: boolean;
  readonly evaluations: { readonly first: readonly EvaluationRecord[]; readonly last: readonly EvaluationRecord[] };
  readonly answers: { readonly first: readonly AnswerRecord[]; readonly last: readonly AnswerRecord[] };
  readonly samples: readonly { readonly prompt: string; readonly text: string }[];
  readonly best: { readonly step: number; readonly value: number } | null;
  readonly stopping: { readonly best: number | null; readonly waited: number } | null;
  readonly configHash: string;
  readonly config: RunConfig;
  readonly environment: Readonly<Record<string, string | number>>;
  readonly changes: readonly string[];
}

/** The file of a state; its last part says what the other files hold. */
export function serializeState(state: CheckpointState, files: readonly FileChecksum[]): string {
  return `${JSON.stringify({ schemaVersion: STATE_VERSION, ...state, files }, null, 2)}\n`;
}

function invalid(message: string, where: string): HeirloomError {
  return new HeirloomError("CHECKPOINT_INVALID", message, {
    where,
    hint: "a checkpoint of another trainer is gone on with by a configuration: heirloom resume CHECKPOINT -c run.yaml",
  });
}

/** Reads a checkpoint's own state. @throws CHECKPOINT_INVALID */
export async function readState(checkpoint: string): Promise<{ state: CheckpointState; files: readonly FileChecksum[] }> {
  const path = join(checkpoint, STATE_FILE);
  const source = await openFile(path).catch((error: unknown) => {
    if (isHeirloomError(error) && error.code === "FILE_MISSING") throw invalid("the checkpoint has no state of a heirloom run", path);
    throw error;
  });
  try {
    const parsed = stateSchema.safeParse(parseJson(await readText(source), path));
    if (!parsed.success) {
      const faults = parsed.error.issues.map(({ path: keys, message }) => `${keys.map(String).join(".") || "the whole"}: ${message}`);
      throw invalid(`expected the state of a heirloom run, found something else (${faults.join("; ")})`, path);
    }
    const { schemaVersion: _version, files, config, ...state } = parsed.data;
    return { state: { ...state, config: config as unknown as RunConfig }, files };
  } finally {
    await source.close();
  }
}
