import { randomUUID } from "node:crypto";
import { mkdir, readFile, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { decodeToF32, encodeFromF32 } from "../codecs/index.ts";
import { HeirloomError, ProblemList } from "../core/index.ts";
import { fileError, openFile, syncFolder, writeError, writeFileAtomic, writeTextAtomic } from "../core/node/index.ts";
import type { BatchPosition } from "../data/index.ts";
import { memoryLayout, storedLayout } from "../engine/index.ts";
import { encodeSafetensors, openSafetensors, type TensorToWrite } from "../formats/index.ts";
import { checkpointFolder, listCheckpoints } from "../runs/index.ts";
import type { Optimizer } from "./optimizers/index.ts";

const OPTIMIZER_FILE = "optimizer.safetensors";
const STATE_FILE = "trainer_state.json";
const STATE_VERSION = 1;

/** Everything that the next update depends on besides weights and optimizer state. Random numbers need no state: they are counted by step. */
export interface TrainerState {
  readonly schemaVersion: number;
  /** Updates done; Trainer's name. */
  readonly global_step: number;
  readonly max_steps: number;
  /** Where the data stand. */
  readonly data: BatchPosition;
  /** Updates that the optimizer has counted. */
  readonly optimizer_step: number;
  /** Real tokens so far. */
  readonly num_input_tokens_seen: number;
  readonly liveness_done: boolean;
  readonly config_hash: string;
}

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

/** Makes a folder whole or not at all: filled under another name, fsynced, renamed. */
export async function writeFolderAtomic(folder: string, fill: (temporary: string) => Promise<void>): Promise<void> {
  const parent = dirname(folder);
  const temporary = join(parent, `.${basename(folder)}.${randomUUID()}.tmp`);
  try {
    await mkdir(temporary, { recursive: true });
    await fill(temporary);
    await syncFolder(temporary);
    await rm(folder, { recursive: true, force: true });
    await rename(temporary, folder);
    await syncFolder(parent);
  } catch (error) {
    await rm(temporary, { recursive: true, force: true }).catch(() => undefined);
    throw error instanceof HeirloomError ? error : writeError(error, folder);
  }
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
    const all = await listCheckpoints(run);
    for (const { path } of all.slice(0, Math.max(0, all.length - keepLast))) await rm(path, { recursive: true, force: true });
  }
  return folder;
}

/** Reads a checkpoint's state. @throws CHECKPOINT_INVALID, FILE_MISSING */
export async function readTrainerState(checkpoint: string): Promise<TrainerState> {
  const path = join(checkpoint, STATE_FILE);
  const text = await readFile(path, "utf8").catch((error: unknown) => {
    throw fileError(error, path);
  });
  try {
    const state = JSON.parse(text) as TrainerState;
    if (typeof state.schemaVersion === "number" && typeof state.data?.epoch === "number") return state;
  } catch {
    // Falls through to the same answer: it is not a state of ours.
  }
  throw new HeirloomError("CHECKPOINT_INVALID", "expected the state of a heirloom run, found something else", {
    where: path,
    hint: "a checkpoint of another trainer can be continued as an adapter: heirloom continue",
  });
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
