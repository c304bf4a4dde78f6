import type { TrainerFiles } from "../../trainer-checkpoint.ts";
import { defineRule } from "../types.ts";

/** A linear schedule is exact to rounding; a cosine bends by more than this over as few points, however long the run. */
const LINEAR_TOLERANCE = 1e-9;
const LINEAR_POINTS = 8;
/** Schedules with restarts rise on purpose. */
const RISES = /restart|cycl|wsd/i;
/** The Trainer counts whole updates and warm-up shares; totals off by less than this have that reason. */
const STEP_SLACK = 2;
/** More epochs than that stand for "no end" (data without a length). */
const MAX_EPOCHS = 1e6;

type Rates = TrainerFiles["rates"];

/** Where the line through the last rates meets zero; null if they lie on no falling line. */
function endOfLine(rates: Rates): number | null {
  const last = rates.slice(-LINEAR_POINTS);
  const [a, b] = [last[0], last.at(-1)];
  if (last.length < LINEAR_POINTS || a === undefined || b === undefined || b.step <= a.step || b.rate >= a.rate) return null;
  const slope = (b.rate - a.rate) / (b.step - a.step);
  const isLine = last.every(({ step, rate }) => Math.abs(a.rate + slope * (step - a.step) - rate) <= LINEAR_TOLERANCE * a.rate);
  return isLine ? b.step - b.rate / slope : null;
}

/** The first step at which the rate rises after it had fallen for good. */
function stepOfRise(rates: Rates): number | null {
  let peak = 0;
  for (const [i, { step, rate }] of rates.entries()) {
    peak = Math.max(peak, rate);
    const before = rates[i - 1]?.rate ?? rate;
    if (rate > before && before < peak * 0.9 && rates.slice(0, i).some((earlier) => earlier.rate > before)) return step;
  }
  return null;
}

function epochTotal({ step, epoch, epochs }: TrainerFiles): { total: number; perEpoch: number } | null {
  if (step === null || epoch === null || epochs === null || step < 1 || epoch <= 0 || epochs > MAX_EPOCHS) return null;
  return { total: (step / epoch) * epochs, perEpoch: step / epoch };
}

function faults(trainer: TrainerFiles): string[] {
  const { step, maxSteps, rates } = trainer;
  const found: string[] = [];
  if (step === null || maxSteps === null || maxSteps <= 0) return found;
  if (step > maxSteps) found.push(`the checkpoint is at update ${step} of ${maxSteps}: a resume would train nothing`);
  const last = rates.at(-1);
  if (last !== undefined && last.rate === 0 && last.step > 1 && last.step < maxSteps - STEP_SLACK)
    found.push(`the learning rate is 0 at update ${last.step} of ${maxSteps}: nothing more is learned`);
  const end = endOfLine(rates);
  if (end !== null && Math.abs(end - maxSteps) > Math.max(STEP_SLACK, 0.02 * maxSteps))
    found.push(`the learning rate falls on a line that ends at update ${Math.round(end)}, and the run at ${maxSteps}`);
  const rise = RISES.test(String(trainer.arguments["lr_scheduler_type"] ?? "")) ? null : stepOfRise(rates);
  if (rise !== null) found.push(`the learning rate rises again at update ${rise}, after it had fallen: the schedule was started anew`);
  const epochs = epochTotal(trainer);
  if (epochs !== null && (epochs.total + epochs.perEpoch + STEP_SLACK < maxSteps || epochs.total > maxSteps + epochs.perEpoch + STEP_SLACK))
    found.push(
      `${trainer.epochs ?? "?"} epochs are about ${Math.round(epochs.total)} updates at the pace so far, and the schedule has ${maxSteps}: batch size, accumulation or data changed`,
    );
  return found;
}

export const scheduleMismatch = defineRule({
  id: "schedule-mismatch",
  severity: "warning",
  meaning:
    "The learning-rate schedule does not go with the number of updates: a resume rebuilds it from the new epochs, batch size and number of processes, while its position comes from the checkpoint.",
  remedy: "resume with the epochs, batch size, accumulation and number of processes of the first run, or start a new run from the weights",
  needs: ["trainer"],
  check({ trainer }) {
    return faults(trainer).map((message) => ({ message }));
  },
});
