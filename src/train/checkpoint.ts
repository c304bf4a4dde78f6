import { readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { decodeToF32, encodeFromF32 } from "../codecs/index.ts";
import { HeirloomError, ProblemList } from "../core/index.ts";
import { fileError, openFile, writeFileAtomic, writeFolderAtomic, writeTextAtomic } from "../core/node/index.ts";
import { memoryLayout, storedLayout } from "../engine/index.ts";
import { encodeSafetensors, openSafetensors, parseJson, type TensorToWrite } from "../formats/index.ts";
import { checkpointFolder, listCheckpoints } from "../runs/index.ts";
import type { Optimizer } from "./optimizers/index.ts";

const OPTIMIZER_FILE = "optimizer.safetensors";
const STATE_FILE = "trainer_state.json";
const STATE_VERSION = 1;

const count = z.number().int().nonnegative();

const trainerStateSchema = z.object({
  schemaVersion: z.literal(STATE_VERSION),
  /** Updates done; Trainer's name. */
  global_step: count,
  max_steps: count,
  /** Where the data stand. */
  data: z.object({ epoch: count, index: count }),
  /** Updates that the optimizer has counted. */
  optimizer_step: count,
  /** Real tokens so far. */
  num_input_tokens_seen: count,
  liveness_done: z.boolean(),
  config_hash: z.string(),
});

/** Everything that the next update depends on besides weights and optimizer state. Random numbers need no state: they are counted by step. */
export type TrainerState = Readonly<z.infer<typeof trainerStateSchema>>;

/** What a checkpoint is made of. */
export interface CheckpointContent {
  readonly state: Omit<TrainerState, "schemaVersion">;
  readonly optimizer: Optimizer;
  /** Writes the adapter or model into the folder. */
  writeWeights(folder: string): Promise<void>;
}

function optimizerTensors(optimizer: Optimizer): TensorToWrite[] {
  return optimizer.slots.flatMap(({ parameter, state }) =>
    Object.entries(state).map(([kind, values]) => ({
      name: `${kind}.${parameter.name}`,
      dtype: "F32" as const,
      shape: parameter.shape,
      chunks: () => [encodeFromF32("F32", storedLayout(parameter, values))],
    })),
  );
}

/** Writes `checkpoint-<step>` into a run, and removes older ones beyond `keepLast`. Returns its path. */
export async function writeCheckpoint(run: string, content: CheckpointContent, keepLast: number | null): Promise<string> {
  const folder = checkpointFolder(run, content.state.global_step);
  await writeFolderAtomic(folder, async (temporary) => {
    await content.writeWeights(temporary);
    await writeFileAtomic(join(temporary, OPTIMIZER_FILE), encodeSafetensors(optimizerTensors(content.optimizer), { format: "pt" }));
    await writeTextAtomic(join(temporary, STATE_FILE), `${JSON.stringify({ schemaVersion: STATE_VERSION, ...content.state }, null, 2)}\n`);
  });
  if (keepLast !== null) {
    const older = (await listCheckpoints(run)).filter(({ path }) => path !== folder);
    for (const { path } of older.slice(0, Math.max(0, older.length - (keepLast - 1)))) await rm(path, { recursive: true, force: true });
  }
  return folder;
}

/** Reads a checkpoint's state. @throws CHECKPOINT_INVALID, FILE_MISSING */
export async function readTrainerState(checkpoint: string): Promise<TrainerState> {
  const path = join(checkpoint, STATE_FILE);
  const text = await readFile(path, "utf8").catch((error: unknown) => {
    throw fileError(error, path);
  });
  const parsed = trainerStateSchema.safeParse(parseJson(text, path, { nonFinite: true }));
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map(({ path: keys, message }) => `${keys.map(String).join(".") || "the whole"}: ${message}`);
  throw new HeirloomError("CHECKPOINT_INVALID", `expected the state of a heirloom run, found something else (${faults.join("; ")})`, {
    where: path,
    hint: "a checkpoint of another trainer can be continued as an adapter: heirloom continue",
  });
}

/**
 * Takes checkpoints beyond `step` out of a run's line when it is resumed from an
 * earlier one: they belong to a branch that is left. Nothing is deleted.
 *
 * @returns their new paths
 */
export async function setAsideLater(run: string, step: number): Promise<string[]> {
  const later = (await listCheckpoints(run)).filter((checkpoint) => checkpoint.step > step);
  const moved: string[] = [];
  for (const { path } of later) {
    const target = `${path}.abandoned-${Date.now()}`;
    await rename(path, target);
    moved.push(target);
  }
  return moved;
}

/** Puts a checkpoint's optimizer state into the optimizer's slots; all faults at once. @throws CHECKPOINT_INVALID */
export async function readOptimizerState(checkpoint: string, optimizer: Optimizer, step: number): Promise<void> {
  const source = await openFile(join(checkpoint, OPTIMIZER_FILE));
  const problems = new ProblemList();
  try {
    const file = await openSafetensors(source);
    const known = new Set<string>();
    for (const { parameter, state } of optimizer.slots) {
      for (const [kind, values] of Object.entries(state)) {
        const name = `${kind}.${parameter.name}`;
        known.add(name);
        const entry = file.tensors.get(name);
        if (entry === undefined || entry.shape.join() !== parameter.shape.join()) {
          problems.add(
            "CHECKPOINT_INVALID",
            `expected optimizer state of shape [${parameter.shape.join(", ")}], found ${entry === undefined ? "none" : `[${entry.shape.join(", ")}]`}`,
            { where: `${source.name} ${name}` },
          );
          continue;
        }
        values.set(memoryLayout(parameter, decodeToF32(entry.dtype, await file.read(name), source.name)));
      }
    }
    for (const name of file.tensors.keys()) {
      if (!known.has(name))
        problems.add("CHECKPOINT_INVALID", "the optimizer state has a tensor that is not being trained", {
          where: `${source.name} ${name}`,
        });
    }
    problems.throwIfAny();
    optimizer.step = step;
  } finally {
    await source.close();
  }
}
