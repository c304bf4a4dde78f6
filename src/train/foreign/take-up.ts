import { readOptimizerState } from "../checkpoint/index.ts";
import type { TrainingSession } from "../session.ts";
import type { Handover } from "./handover.ts";

/**
 * Puts a session's optimizer where another trainer left it: moments and counts, tensor by tensor.
 *
 * @throws CHECKPOINT_INVALID for what does not fit, all at once
 */
export async function takeUpOptimizer(checkpoint: string, { parameters }: Handover, { optimizer }: TrainingSession): Promise<void> {
  optimizer.step = await readOptimizerState(checkpoint, optimizer, parameters);
}
