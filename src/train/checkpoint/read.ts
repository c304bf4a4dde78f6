import { join } from "node:path";
import { decodeToF32 } from "../../codecs/index.ts";
import { HeirloomError, ProblemList, readAll } from "../../core/index.ts";
import { openFile } from "../../core/node/index.ts";
import { memoryLayout } from "../../engine/index.ts";
import { dictOf, entryOfDict, isTorchTensor, type LogEntry, type PickleValue, readJson, readTorchFile } from "../../formats/index.ts";
import type { Optimizer } from "../optimizers/index.ts";

/** Updates that a parameter has had: a number, or a tensor of one. */
async function stepOf(value: PickleValue | undefined): Promise<number | null> {
  if (typeof value === "number") return value;
  if (!isTorchTensor(value) || value.source.size === 0) return null;
  return decodeToF32(value.dtype, await readAll(value.source), value.source.name)[0] ?? null;
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
  const source = await openFile(join(checkpoint, "optimizer.pt"));
  const problems = new ProblemList();
  try {
    const state = dictOf(entryOfDict((await readTorchFile(source)).value, "state"));
    // torch makes a parameter's state in its first step: before it there is none.
    if (state.size === 0) return 0;
    const indices = new Map(parameters.map((name, index) => [name, index]));
    const steps = new Set<number>();
    for (const { parameter, state: kinds } of optimizer.slots) {
      const index = indices.get(parameter.name);
      const saved = index === undefined ? undefined : state.get(index);
      const step = await stepOf(entryOfDict(saved ?? null, "step"));
      if (step !== null) steps.add(step);
      for (const [kind, values] of Object.entries(kinds)) {
        const tensor = entryOfDict(saved ?? null, kind);
        const shape = isTorchTensor(tensor) ? tensor.shape : null;
        if (!isTorchTensor(tensor) || shape?.join() !== parameter.shape.join()) {
          const found = shape === null ? "none" : `[${shape.join(", ")}]`;
          problems.add("CHECKPOINT_INVALID", `expected ${kind} of shape [${parameter.shape.join(", ")}], found ${found}`, {
            where: `${source.name} ${parameter.name}`,
          });
          continue;
        }
        values.set(memoryLayout(parameter, decodeToF32(tensor.dtype, await readAll(tensor.source), source.name)));
      }
      indices.delete(parameter.name);
    }
    for (const name of indices.keys()) {
      problems.add("CHECKPOINT_INVALID", "the optimizer state has a tensor that is not being trained", { where: `${source.name} ${name}` });
    }
    if (steps.size > 1)
      problems.add("CHECKPOINT_INVALID", `expected one number of updates, found ${[...steps].join(", ")}`, { where: source.name });
    problems.throwIfAny();
    return [...steps][0] ?? 0;
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
