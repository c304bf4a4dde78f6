import { join } from "node:path";
import { decodeToF32 } from "../../codecs/index.ts";
import { HeirloomError, ProblemList, readAll } from "../../core/index.ts";
import { openFile } from "../../core/node/index.ts";
import { memoryLayout, type Parameter } from "../../engine/index.ts";
import {
  type LogEntry,
  optimizerStateAt,
  readJson,
  readSavedOptimizer,
  type SavedOptimizer,
  type TorchTensor,
  TRAINER_FILES,
  updatesOf,
} from "../../formats/index.ts";
import type { Optimizer, OptimizerSlot } from "../optimizers/index.ts";

/** Whether a saved tensor is of the shape and kind that an optimizer keeps; else what is there. */
function misfit(parameter: Parameter, kept: Float32Array | Uint8Array, tensor: TorchTensor | undefined): string | null {
  const shape = kept.length === parameter.values.length ? parameter.shape : [kept.length];
  const isCodes = kept instanceof Uint8Array;
  if (tensor !== undefined && tensor.shape.join() === shape.join() && (tensor.dtype === "U8") === isCodes) return null;
  const found = tensor === undefined ? "none" : `${tensor.dtype} [${tensor.shape.join(", ")}]`;
  return `expected a tensor of ${isCodes ? "8-bit codes, " : ""}shape [${shape.join(", ")}], found ${found}`;
}

/** Takes a saved tensor into the optimizer's memory. The values that codes stand for are ours; the file's must be the same. */
async function take(
  { parameter }: OptimizerSlot,
  key: string,
  kept: Float32Array | Uint8Array,
  tensor: TorchTensor,
  where: string,
): Promise<boolean> {
  const bytes = await readAll(tensor.source);
  if (kept instanceof Uint8Array) {
    kept.set(bytes);
    return true;
  }
  const values = decodeToF32(tensor.dtype, bytes, where);
  if (key.startsWith("qmap")) return values.every((value, i) => value === kept[i]);
  kept.set(kept.length === parameter.values.length ? memoryLayout(parameter, values) : values);
  return true;
}

/** Fills a slot with what is saved at its index; notes what does not fit. */
async function fillSlot(slot: OptimizerSlot, index: number, saved: SavedOptimizer, problems: ProblemList): Promise<void> {
  const { parameter, state } = slot;
  const own = saved.state.get(index);
  const at = (key: string) => ({
    where: `${optimizerStateAt(saved.file, index, key)} (${parameter.name})`,
    details: { index, key, parameter: parameter.name },
  });
  if (own !== undefined && own.updates === null) problems.add("CHECKPOINT_INVALID", "expected a number of updates, found none", at("step"));
  for (const [key, kept] of Object.entries(state)) {
    const tensor = own?.tensors.get(key);
    const fault = misfit(parameter, kept, tensor);
    if (fault !== null || tensor === undefined) problems.add("CHECKPOINT_INVALID", fault ?? "", at(key));
    else if (!(await take(slot, key, kept, tensor, at(key).where)))
      problems.add("CHECKPOINT_INVALID", "expected the values of bitsandbytes' dynamic type, found others", at(key));
  }
}

/** Notes state at indices that are not trained, of no parameter at all, and counters that differ. */
function checkWhole(saved: SavedOptimizer, trained: ReadonlySet<number>, parameters: readonly string[], problems: ProblemList): void {
  for (const index of new Set([...parameters.keys(), ...saved.state.keys()])) {
    if (trained.has(index)) continue;
    problems.add("CHECKPOINT_INVALID", "the optimizer state has a tensor that is not being trained", {
      where: `${saved.file} state[${index}] (${parameters[index] ?? "of no name"})`,
      details: { index },
    });
  }
  for (const key of saved.shared)
    problems.add("CHECKPOINT_INVALID", "expected state of parameters only, found another", {
      where: `${saved.file} state[${key}]`,
      details: { key },
    });
  const updates = updatesOf(saved);
  if (updates.length > 1)
    problems.add("CHECKPOINT_INVALID", `expected one number of updates, found ${updates.join(", ")}`, { where: saved.file });
}

/**
 * Puts the state in a checkpoint's optimizer.pt into the optimizer's slots; all
 * faults at once.
 *
 * @param parameters live name of the parameter at each index
 * @returns the updates that the parameters have had
 * @throws CHECKPOINT_INVALID, and what reading a torch file throws
 */
export async function readOptimizerState(checkpoint: string, optimizer: Optimizer, parameters: readonly string[]): Promise<number> {
  const source = await openFile(join(checkpoint, TRAINER_FILES.optimizer));
  try {
    const saved = await readSavedOptimizer(source);
    // torch makes a parameter's state in its first step: before it there is none.
    if (saved.state.size === 0) return 0;
    const problems = new ProblemList();
    const indices = new Map(parameters.map((name, index) => [name, index]));
    const trained = new Set<number>();
    for (const slot of optimizer.slots) {
      const index = indices.get(slot.parameter.name);
      if (index === undefined) {
        problems.add("CHECKPOINT_INVALID", "the optimizer state has no index for a tensor that is trained", {
          where: `${saved.file} ${slot.parameter.name}`,
        });
        continue;
      }
      trained.add(index);
      await fillSlot(slot, index, saved, problems);
    }
    checkWhole(saved, trained, parameters, problems);
    problems.throwIfAny();
    return updatesOf(saved)[0] ?? 0;
  } finally {
    await source.close();
  }
}

/** The log of a checkpoint's trainer_state.json. @throws CHECKPOINT_INVALID */
export async function readLog(checkpoint: string): Promise<LogEntry[]> {
  const path = join(checkpoint, "trainer_state.json");
  const source = await openFile(path);
  try {
    const json = await readJson(source);
    const log = typeof json === "object" && json !== null && "log_history" in json ? json.log_history : null;
    if (Array.isArray(log)) return log as LogEntry[];
    throw new HeirloomError("CHECKPOINT_INVALID", "expected a log_history, found none", { where: path });
  } finally {
    await source.close();
  }
}
