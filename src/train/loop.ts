import { HeirloomError, isHeirloomError } from "../core/index.ts";
import type { BatchSource, MicroBatch } from "../data/index.ts";
import type { Parameter } from "../engine/index.ts";
import { completeText } from "../generate/index.ts";
import type { EvaluationRecord } from "../runs/index.ts";
import { evaluateDataset } from "./evaluate.ts";
import type { TrainingEvent } from "./events.ts";
import type { Keeper, Progress } from "./keeper.ts";
import { type Liveness, livenessError } from "./liveness.ts";
import type { Prepared } from "./prepare.ts";
import type { TrainingSession, UpdateOutcome } from "./session.ts";
import { takeUpdate } from "./updates.ts";

/** A run that is ready to make updates. */
export interface LiveRun {
  readonly prepared: Prepared;
  readonly session: TrainingSession;
  readonly source: BatchSource;
  readonly keeper: Keeper;
  readonly liveness: Liveness;
  /** Token ids seen so far; the rows on which an embedding is judged. */
  readonly seenTokens: Set<number>;
  /** Updates of the whole run, and those done before this process. */
  readonly steps: number;
  readonly fromStep: number;
  readonly tokensBefore: number;
}

/** How the loop talks to the outside. */
export interface LoopContext {
  report(event: TrainingEvent): Promise<void>;
  stopRequested(): boolean;
}

/** What the loop came to. */
export interface LoopOutcome {
  /** Of the last update; null if there was none left to make. */
  readonly loss: number | null;
  readonly tokens: number;
  readonly first: readonly EvaluationRecord[];
  readonly last: readonly EvaluationRecord[];
}

function allFinite(values: Float32Array): boolean {
  return values.every((value) => value - value === 0);
}

function isDue(step: number, every: number | null): boolean {
  return every !== null && step % every === 0;
}

/** One run's updates, from where it stands to its end. Every method is one line of the story told in {@link runLoop}. */
class Loop {
  readonly run: LiveRun;
  readonly context: LoopContext;
  readonly began = performance.now();
  tokens: number;
  loss: number | null = null;

  constructor(run: LiveRun, context: LoopContext) {
    this.run = run;
    this.context = context;
    this.tokens = run.tokensBefore;
  }

  progress(step: number): Progress {
    return { step, steps: this.run.steps, tokens: this.tokens, position: this.run.source.position, livenessDone: this.run.liveness.done };
  }

  async evaluate(step: number): Promise<EvaluationRecord[]> {
    const { prepared, session } = this.run;
    const { evaluation, training, data } = prepared.config;
    const records: EvaluationRecord[] = [];
    for (const [dataset, held] of prepared.evaluation) {
      const batches = {
        batchSize: evaluation.batchSize ?? training.batchSize,
        maxLength: data.maxLength,
        packing: data.packing,
        padId: prepared.tokenizer.padId ?? 0,
      };
      const { loss, perplexity, labelTokens } = await evaluateDataset(session.model, held, batches);
      records.push({ dataset, fingerprint: held.fingerprint, step, loss, labelTokens });
      await this.context.report({ type: "evaluation", step, dataset, loss, perplexity, tokens: labelTokens });
    }
    return records;
  }

  async sample(): Promise<void> {
    const { prepared, session } = this.run;
    for (const prompt of prepared.config.evaluation.samplePrompts) {
      const text = await completeText(session.model, prepared.tokenizer, prompt, prepared.config.evaluation.sampleTokens);
      await this.context.report({ type: "sample", prompt, text });
    }
  }

  noteSeen(batches: readonly MicroBatch[]): void {
    if (this.run.liveness.done) return;
    for (const { inputIds, segments } of batches) {
      for (let t = 0; t < inputIds.length; t++) if (segments[t] !== 0) this.run.seenTokens.add(inputIds[t] as number);
    }
  }

  /** One update; if its loss is not finite, the state before it is kept as a checkpoint. */
  async update(step: number): Promise<UpdateOutcome> {
    const { session, source, liveness, prepared } = this.run;
    const before = source.position;
    const batches = takeUpdate(source, prepared.config.training.accumulation);
    this.noteSeen(batches);
    try {
      const outcome = await session.update(batches, step, {
        beforeStep: () => liveness.beforeUpdate(),
        beforeRounding: () => liveness.beforeRounding((parameter) => session.decayOf(parameter, step)),
      });
      this.tokens += outcome.tokens;
      this.loss = outcome.loss;
      return outcome;
    } catch (error) {
      if (!isHeirloomError(error) || error.code !== "LOSS_NOT_FINITE") throw error;
      source.position = before;
      throw await this.keepLastGood(step - 1, error);
    }
  }

  /** Keeps the state before a failed update, if it is sound itself, and tells the way on. */
  async keepLastGood(step: number, error: HeirloomError): Promise<HeirloomError> {
    const [problem] = error.problems;
    if (!this.run.session.model.weights.trained.every(({ values }) => allFinite(values))) return error;
    const checkpoint = await this.checkpoint(step, []);
    const hint = `heirloom continue ${checkpoint} with a lower training.learningRate or a longer warm-up`;
    return HeirloomError.of([{ ...problem, hint, details: { ...problem.details, checkpoint } }]);
  }

  async proveLiveness(step: number, rates: ReadonlyMap<string, number>): Promise<void> {
    const { liveness, session, steps } = this.run;
    const live = [...rates.values()].some((rate) => rate > 0);
    const verdict = liveness.afterUpdate((parameter: Parameter) => session.decayOf(parameter, step), live, step === steps);
    if (verdict === null) return;
    const tensors = verdict.ok ? verdict.checked : verdict.problems.map(({ where }) => where ?? "");
    await this.context.report({ type: "liveness", step, ok: verdict.ok, tensors });
    if (!verdict.ok) throw livenessError(verdict);
  }

  reportStep(step: number, outcome: UpdateOutcome, seconds: number): Promise<void> {
    const { steps, fromStep } = this.run;
    const elapsedSeconds = (performance.now() - this.began) / 1000;
    const { loss, gradNorm, learningRates, tokens } = outcome;
    return this.context.report({
      type: "step",
      step,
      steps,
      loss,
      gradNorm,
      learningRates: Object.fromEntries(learningRates),
      tokens,
      tokensPerSecond: tokens / seconds,
      elapsedSeconds,
      remainingSeconds: (elapsedSeconds / (step - fromStep)) * (steps - step),
      rssBytes: process.memoryUsage.rss(),
    });
  }

  async checkpoint(step: number, evaluations: readonly EvaluationRecord[]): Promise<string> {
    // Only what was measured on the weights as they are saved.
    const measured = evaluations.filter((record) => record.step === step);
    const path = await this.run.keeper.checkpoint(this.progress(step), measured);
    await this.context.report({ type: "checkpoint", step, path });
    return path;
  }
}

/** Ctrl-C: the checkpoint is there, so the way on is known. */
function interrupted(step: number, steps: number, path: string): HeirloomError {
  return new HeirloomError("INTERRUPTED", `stopped after update ${step} of ${steps}; the checkpoint is complete`, {
    where: path,
    hint: `heirloom resume ${path}`,
    details: { step, steps, checkpoint: path },
  });
}

/**
 * Makes the updates of a run: evaluate, then update, prove, report, evaluate and
 * keep as the configuration says, and evaluate at the end.
 *
 * @throws INTERRUPTED after a checkpoint, LOSS_NOT_FINITE, LIVENESS_FAILED
 */
export async function runLoop(run: LiveRun, context: LoopContext): Promise<LoopOutcome> {
  const { evaluation, checkpoints } = run.prepared.config;
  const loop = new Loop(run, context);
  const first = await loop.evaluate(run.fromStep);
  await loop.sample();
  let last = first;
  for (let step = run.fromStep + 1; step <= run.steps; step++) {
    const started = performance.now();
    const outcome = await loop.update(step);
    await loop.proveLiveness(step, outcome.learningRates);
    await loop.reportStep(step, outcome, (performance.now() - started) / 1000);
    const isLast = step === run.steps;
    if (isDue(step, evaluation.everySteps) || isLast) last = await loop.evaluate(step);
    const stopping = context.stopRequested() && !isLast;
    if (isDue(step, checkpoints.everySteps) || isLast || stopping) {
      const path = await loop.checkpoint(step, last);
      if (stopping) throw interrupted(step, run.steps, path);
    }
  }
  await loop.sample();
  return { loss: loop.loss, tokens: loop.tokens, first, last };
}
