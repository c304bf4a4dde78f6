import { HeirloomError, isHeirloomError } from "../core/index.ts";
import type { BatchSource, MicroBatch } from "../data/index.ts";
import type { Parameter } from "../engine/index.ts";
import type { LogEntry } from "../formats/index.ts";
import { completeText } from "../generate/index.ts";
import { checkpointFolder, type EvaluationRecord } from "../runs/index.ts";
import { CheckpointSaver, type CheckpointState } from "./checkpoint/index.ts";
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
  /** What the process before this one came to; null for a run that starts. */
  readonly before: CheckpointState | null;
  /** Its log, to be gone on with. */
  readonly logBefore: readonly LogEntry[];
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
  readonly saver: CheckpointSaver;
  readonly log: LogEntry[];
  /** Held-out losses before the run's first update, and the latest. */
  first: readonly EvaluationRecord[];
  last: readonly EvaluationRecord[];
  best: Progress["best"];
  tokens: number;
  loss: number | null = null;

  constructor(run: LiveRun, context: LoopContext) {
    const { before } = run;
    this.run = run;
    this.context = context;
    this.saver = new CheckpointSaver(({ step, path }) => context.report({ type: "checkpoint", step, path }));
    this.log = [...run.logBefore];
    this.first = before?.evaluations.first ?? [];
    this.last = before?.evaluations.last ?? [];
    this.best = before?.best ?? null;
    this.tokens = before?.tokens ?? 0;
  }

  /** Where the data stand, as a number of epochs. */
  get epoch(): number {
    const { source } = this.run;
    return source.position.epoch + source.position.index / source.batchCount(source.position.epoch);
  }

  progress(step: number): Progress {
    const { source, steps, liveness } = this.run;
    const { tokens, log, first, last, best, epoch } = this;
    return { step, steps, tokens, position: source.position, epoch, livenessDone: liveness.done, log, first, last, best };
  }

  /** Evaluates, and remembers what came of it. */
  async measure(step: number): Promise<void> {
    this.last = await this.evaluate(step);
    // The Trainer's names: `eval_loss` of one set, `eval_<name>_loss` of several.
    const name = (dataset: string): string => (this.last.length === 1 ? "eval_loss" : `eval_${dataset}_loss`);
    for (const { dataset, loss } of this.last) this.log.push({ step, epoch: this.epoch, [name(dataset)]: loss });
    if (step === 0) this.first = this.last;
    const [watched] = this.last;
    if (watched !== undefined && (this.best === null || watched.loss < this.best.value)) this.best = { step, value: watched.loss };
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
    const checkpoint = await this.keep(step);
    await this.saver.settle();
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
    // The Trainer logs the rate of its first group.
    this.log.push({ step, epoch: this.epoch, loss, grad_norm: gradNorm, learning_rate: [...learningRates.values()][0] ?? 0 });
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

  /** Before the first update. A run that is resumed has been measured there: this time it only shows that it is still what it was. */
  async open(): Promise<void> {
    if (this.run.before === null) await this.measure(0);
    else await this.evaluate(this.run.fromStep);
    await this.sample();
  }

  /** After the last: its checkpoint has the masters, its evaluation is that of the weights as they are saved. */
  async close(): Promise<void> {
    const { keeper, steps, fromStep } = this.run;
    const isNew = steps > fromStep;
    if (keeper.roundsAtEnd) {
      if (isNew) await this.keep(steps);
      await this.saver.settle();
      keeper.roundToSaved();
      await this.measure(steps);
    } else if (isNew) {
      await this.measure(steps);
      await this.keep(steps);
    }
    await this.saver.settle();
    await this.sample();
  }

  /** Starts keeping a checkpoint; the event tells when it is on disk. Returns its path. */
  async keep(step: number): Promise<string> {
    const planned = await this.run.keeper.checkpoint(this.progress(step));
    await this.saver.save(planned, this.run.keeper.checkpointBytes);
    return checkpointFolder(planned.run, step);
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
  await loop.open();
  for (let step = run.fromStep + 1; step <= run.steps; step++) {
    const started = performance.now();
    const outcome = await loop.update(step);
    await loop.proveLiveness(step, outcome.learningRates);
    await loop.reportStep(step, outcome, (performance.now() - started) / 1000);
    loop.saver.check();
    if (step === run.steps) break;
    if (isDue(step, evaluation.everySteps)) await loop.measure(step);
    const stopping = context.stopRequested();
    if (isDue(step, checkpoints.everySteps) || stopping) {
      const path = await loop.keep(step);
      if (!stopping) continue;
      await loop.saver.settle();
      throw interrupted(step, run.steps, path);
    }
  }
  await loop.close();
  const { loss, tokens, first, last } = loop;
  return { loss, tokens, first, last };
}
