import { type EvaluationConfig, evaluationSettings } from "../config/index.ts";
import { HeirloomError, isHeirloomError, type Trace } from "../core/index.ts";
import type { MicroBatch } from "../data/index.ts";
import type { Parameter } from "../engine/index.ts";
import type { LogEntry } from "../formats/index.ts";
import { checkpointFolder, type EvaluationRecord } from "../runs/index.ts";
import { CheckpointSaver, readState } from "./checkpoint/index.ts";
import { EarlyStopping, type Owed, resumptionOwes } from "./gates/index.ts";
import { hasFiniteValues } from "./gradients.ts";
import type { Progress } from "./keeper.ts";
import type { LiveRun, LoopContext, LoopOutcome, MeasuredAt } from "./live-run.ts";
import { livenessError } from "./liveness.ts";
import { Measuring, pairSamples, type Sample } from "./measuring.ts";
import { restoreWeights } from "./prepare.ts";
import { proveSame } from "./prove-same.ts";
import type { UpdateOutcome } from "./session.ts";
import { takeUpdate } from "./updates.ts";

/** While a checkpoint is written, so much of an update's time is left to that; all in all no more than writing it takes. */
const SAVING_SHARE = 0.1;

const NOTHING: MeasuredAt = { evaluations: [], answers: [] };

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
  readonly measuring: Measuring;
  readonly stopping: EarlyStopping | null;
  /** What was measured before the run's first update, and the latest. */
  first: MeasuredAt = NOTHING;
  last: MeasuredAt = NOTHING;
  samples: readonly Sample[];
  /** The lowest loss of the watched set after an update. */
  best: Progress["best"];
  /** The last update whose checkpoint is kept. */
  kept: number | null = null;
  tokens: number;
  loss: number | null = null;

  constructor(run: LiveRun, context: LoopContext) {
    const { before } = run;
    this.run = run;
    this.context = context;
    this.saver = new CheckpointSaver(context);
    this.log = [...run.logBefore];
    if (before !== null) {
      this.first = { evaluations: before.evaluations.first, answers: before.answers.first };
      this.last = { evaluations: before.evaluations.last, answers: before.answers.last };
    }
    this.samples = before?.samples ?? [];
    this.best = before?.best ?? null;
    this.tokens = before?.tokens ?? 0;
    this.measuring = new Measuring({ prepared: run.prepared, model: run.session.model, environment: run.environment }, context);
    const { earlyStopping } = this.settings;
    this.stopping = earlyStopping === null ? null : new EarlyStopping(earlyStopping, before?.stopping ?? undefined);
  }

  get trace(): Trace {
    return this.run.session.model.trace;
  }

  get settings(): EvaluationConfig {
    return evaluationSettings(this.run.prepared.config.evaluation);
  }

  progress(step: number): Progress {
    const { source, steps, liveness } = this.run;
    const { tokens, first, last, samples, best } = this;
    const answers = { first: first.answers, last: last.answers };
    const losses = { first: first.evaluations, last: last.evaluations };
    const stopping = this.stopping?.state ?? null;
    return {
      step,
      steps,
      tokens,
      position: source.position,
      epoch: source.epochs,
      livenessDone: liveness.done,
      log: [...this.log],
      ...losses,
      answers,
      samples,
      best,
      stopping,
    };
  }

  /** The loss that early stopping and the best checkpoint go by. */
  get watched(): EvaluationRecord | undefined {
    const dataset = this.settings.earlyStopping?.dataset ?? null;
    return this.last.evaluations.find((record) => dataset === null || record.dataset === dataset);
  }

  get isStopped(): boolean {
    return this.stopping?.isDone === true;
  }

  /** Evaluates the run's own sets, and remembers what came of it. */
  async measure(step: number): Promise<void> {
    const evaluations = await this.measuring.own(step);
    this.last = { evaluations, answers: [] };
    // The Trainer's names: `eval_loss` of one set, `eval_<name>_loss` of several.
    const name = (dataset: string): string => (evaluations.length === 1 ? "eval_loss" : `eval_${dataset}_loss`);
    for (const { dataset, loss } of evaluations) this.log.push({ step, epoch: this.run.source.epochs, [name(dataset)]: loss });
  }

  /** After an update: the lowest loss, and whether to stop. What precedes the first update is no result of this run. */
  async measureProgress(step: number): Promise<void> {
    await this.measure(step);
    const loss = this.watched?.loss;
    if (loss === undefined) return;
    this.stopping?.note(loss);
    if (this.best === null || loss < this.best.value) this.best = { step, value: loss };
  }

  /** What is measured only before and after: the parent's sets, answers. */
  async complete(step: number): Promise<void> {
    const evaluations = [...this.last.evaluations, ...(await this.measuring.parents(step))];
    this.last = { evaluations, answers: await this.measuring.answers(step) };
  }

  noteSeen(batches: readonly MicroBatch[]): void {
    if (this.run.liveness.done) return;
    for (const { inputIds, segments } of batches) {
      for (let t = 0; t < inputIds.length; t++) if (segments[t] !== 0) this.run.seenTokens.add(inputIds[t] as number);
    }
  }

  /** One update and what belongs to it: proof, report, a moment for the checkpoint that is being written. */
  async makeUpdate(step: number): Promise<void> {
    const started = performance.now();
    const outcome = await this.update(step);
    await this.trace.span("proof", "proof", {}, () => this.proveLiveness(step, outcome.learningRates));
    const took = performance.now() - started;
    await this.reportStep(step, outcome, took / 1000);
    await this.trace.span("checkpoint being written", "checkpoint", {}, () => this.saver.advance(took * SAVING_SHARE));
    this.saver.check();
  }

  /** One update; if its loss is not finite, the state before it is kept as a checkpoint. */
  async update(step: number): Promise<UpdateOutcome> {
    const { session, source, liveness, prepared } = this.run;
    const before = source.position;
    const batches = this.trace.span("data", "data", {}, () => {
      const taken = takeUpdate(source, prepared.config.training.accumulation);
      this.noteSeen(taken);
      return taken;
    });
    try {
      const outcome = await session.update(batches, step, {
        beforeStep: () => liveness.beforeUpdate(),
        beforeRounding: (parameter, start, values) =>
          liveness.beforeRounding(parameter, { start, values }, session.decayOf(parameter, step)),
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
    if (!this.run.session.model.weights.trained.every(hasFiniteValues)) return error;
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
    this.log.push({ step, epoch: this.run.source.epochs, loss, grad_norm: gradNorm, learning_rate: [...learningRates.values()][0] ?? 0 });
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
    const { before, fromStep } = this.run;
    if (before !== null) {
      const owed = resumptionOwes(fromStep, before.evaluations.last);
      if (owed.records.length > 0) await this.requireSame(owed, await this.measuring.own(fromStep));
      else if (this.run.prepared.evaluation.size > 0)
        await this.context.report({
          type: "note",
          message: "the checkpoint was not evaluated, so no equal loss proves that it was loaded rightly",
        });
      return;
    }
    await this.measure(fromStep);
    await this.complete(fromStep);
    this.first = this.last;
    if (this.run.owed !== null) await this.requireSame(this.run.owed, this.first.evaluations);
    this.samples = await this.measuring.samples();
  }

  /** @param step of the weights that are held against those that were saved */
  requireSame(owed: Owed, found: readonly EvaluationRecord[], step = this.run.fromStep): Promise<void> {
    return proveSame(owed, found, step, (event) => this.context.report(event));
  }

  /** The update whose weights the run ends with: the best one's, where that is asked for. */
  chosen(step: number): number {
    const { best } = this;
    return this.settings.earlyStopping?.restoreBest === true && best !== null ? best.step : step;
  }

  /** Puts the best checkpoint's weights back, and proves that they are those that were measured. */
  async restore({ step, value }: NonNullable<Progress["best"]>): Promise<void> {
    const folder = checkpointFolder(this.run.keeper.run, step);
    const { state } = await readState(folder);
    await restoreWeights(this.run.prepared, folder);
    await this.context.report({
      type: "note",
      message: `the weights of update ${step} are restored: their loss of ${value.toFixed(4)} was the lowest`,
    });
    this.last = { evaluations: await this.measuring.own(step), answers: [] };
    const found = this.watched;
    const { records } = resumptionOwes(step, state.evaluations.last);
    if (found !== undefined) await this.requireSame({ to: "best checkpoint", records, exactly: true, note: null }, [found], step);
  }

  /** Measures the weights as they were made, where they are also those that are saved; then keeps their checkpoint. */
  async keepEnd(step: number, isAsSaved: () => boolean): Promise<void> {
    const { keeper, fromStep } = this.run;
    const isMeasured = this.last.evaluations.some((record) => record.step === step);
    const unmeasured = this.progress(step);
    try {
      if (!isMeasured && (this.stopping !== null || !keeper.roundsAtEnd)) await this.measureProgress(step);
      if (isAsSaved() && (step > fromStep || !isMeasured)) await this.complete(step);
    } catch (error) {
      if (step > fromStep) throw await this.keepUnmeasured(step, unmeasured, error);
      throw error;
    }
    if (step > fromStep) await this.keep(step);
    await this.saver.settle();
  }

  /** Nothing of the last updates is lost if measuring what they made is interrupted or fails. */
  async keepUnmeasured(step: number, progress: Progress, error: unknown): Promise<unknown> {
    const path = await this.keep(step, progress);
    await this.saver.settle();
    return isHeirloomError(error) && error.code === "INTERRUPTED" ? interrupted(step, this.run.steps, path) : error;
  }

  /** After the last: its checkpoint has the masters, its evaluation is that of the weights as they are saved. */
  async close(step: number): Promise<LoopOutcome> {
    const { keeper, steps } = this.run;
    const isAsSaved = (): boolean => this.chosen(step) === step && !keeper.roundsAtEnd;
    await this.keepEnd(step, isAsSaved);
    const chosen = this.chosen(step);
    if (chosen !== step && this.best !== null) await this.restore(this.best);
    if (keeper.roundsAtEnd) {
      keeper.roundToSaved();
      await this.measure(chosen);
    }
    if (!isAsSaved()) await this.complete(chosen);
    const samples = pairSamples(this.samples, await this.measuring.samples());
    const { loss, tokens, first, last, best } = this;
    const stopped = step < steps ? { step, steps, best } : null;
    return { loss, tokens, first, last, samples, made: step, kept: chosen, stopped };
  }

  /** Tells that the updates end early. */
  reportStop(step: number): Promise<void> {
    const { best } = this;
    const patience = this.settings.earlyStopping?.patience ?? 0;
    const reason = `the held-out loss has not come below its lowest for ${patience === 1 ? "an evaluation" : `${patience} evaluations`}`;
    return this.context.report({ type: "stopped", step, steps: this.run.steps, best, reason });
  }

  /** Whether the best weights so far have to be on disk. */
  mustKeepBest(step: number): boolean {
    return this.best?.step === step && this.settings.earlyStopping?.restoreBest === true;
  }

  /** Starts keeping a checkpoint, once; the event tells when it is on disk. Returns its path. */
  async keep(step: number, progress = this.progress(step)): Promise<string> {
    if (this.kept === step) return checkpointFolder(this.run.keeper.run, step);
    this.kept = step;
    const planned = await this.trace.span(`checkpoint ${step}`, "checkpoint", { step }, async () => {
      const made = await this.run.keeper.checkpoint(progress);
      await this.saver.save(made);
      return made;
    });
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

async function makeUpdates(loop: Loop): Promise<LoopOutcome> {
  const { run, context } = loop;
  const { evaluation, checkpoints } = run.prepared.config;
  await loop.open();
  let step = run.fromStep;
  while (step < run.steps && !loop.isStopped) {
    step++;
    await loop.trace.span(`update ${step}`, "update", {}, () => loop.makeUpdate(step));
    if (step === run.steps) break;
    if (isDue(step, evaluation.everySteps)) {
      await loop.measureProgress(step);
      if (loop.mustKeepBest(step)) await loop.keep(step);
      if (loop.isStopped) break;
    }
    const stopping = context.stopRequested();
    if (isDue(step, checkpoints.everySteps) || stopping) {
      const path = await loop.keep(step);
      if (!stopping) continue;
      await loop.saver.settle();
      throw interrupted(step, run.steps, path);
    }
  }
  if (step < run.steps) await loop.reportStop(step);
  return loop.close(step);
}

/**
 * Makes the updates of a run: evaluate, then update, prove, report, evaluate and
 * keep as the configuration says, and evaluate at the end.
 *
 * @throws INTERRUPTED after a checkpoint, LOSS_NOT_FINITE, LIVENESS_FAILED
 */
export async function runLoop(run: LiveRun, context: LoopContext): Promise<LoopOutcome> {
  const loop = new Loop(run, context);
  try {
    return await makeUpdates(loop);
  } finally {
    await loop.saver.close();
  }
}
