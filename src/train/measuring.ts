import { evaluationSettings } from "../config/index.ts";
import type { ActivationPolicy, CausalModel } from "../engine/index.ts";
import { completeText, scoreAnswers } from "../generate/index.ts";
import type { AnswerRecord, EvaluationConditions, EvaluationRecord, SamplePair } from "../runs/index.ts";
import { type EvaluationBatches, evaluateDataset } from "./evaluate.ts";
import type { TrainingEvent } from "./events.ts";
import type { HeldOutSet } from "./parent-sets.ts";
import type { Prepared } from "./prepare.ts";

/** A sample prompt and how it was completed. */
export interface Sample {
  readonly prompt: string;
  readonly text: string;
}

/** Prompts as they were completed before and after: null before for one that the run did not have then. */
export function pairSamples(before: readonly Sample[], after: readonly Sample[]): SamplePair[] {
  const earlier = new Map(before.map(({ prompt, text }) => [prompt, text]));
  return after.map(({ prompt, text }) => ({ prompt, before: earlier.get(prompt) ?? null, after: text }));
}

/** Environment that bears on the bits of a loss; what else a run records of it does not. */
const BEARING = ["heirloom", "onnxruntime", "platform", "cpu", "cpuFeatures", "threads"];

/** What the bits of a held-out loss depend on, besides the weights and the rows. */
export function evaluationConditions(
  environment: Readonly<Record<string, string | number>>,
  activations: ActivationPolicy,
  { batchSize, maxLength, packing }: Omit<EvaluationBatches, "padId">,
): EvaluationConditions {
  const bearing = BEARING.flatMap((name) => {
    const value = environment[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  return { ...Object.fromEntries(bearing), activations, batchSize, maxLength, packing };
}

/** Measures a run's model, and tells what came of it: losses on its own and its parent's sets, answers, samples. */
export class Measuring {
  readonly #prepared: Prepared;
  readonly #model: CausalModel;
  readonly #environment: Readonly<Record<string, string | number>>;
  readonly #report: (event: TrainingEvent) => Promise<void>;
  readonly #stopRequested: () => boolean;

  constructor(
    run: { readonly prepared: Prepared; readonly model: CausalModel; readonly environment: Readonly<Record<string, string | number>> },
    context: { report(event: TrainingEvent): Promise<void>; stopRequested(): boolean },
  ) {
    this.#prepared = run.prepared;
    this.#model = run.model;
    this.#environment = run.environment;
    this.#report = (event) => context.report(event);
    this.#stopRequested = () => context.stopRequested();
  }

  async #losses(step: number, sets: Iterable<readonly [string, HeldOutSet]>): Promise<EvaluationRecord[]> {
    const records: EvaluationRecord[] = [];
    const { activations } = this.#prepared.config.engine;
    for (const [dataset, held] of sets) {
      const where = `held-out set "${dataset}" after update ${step}`;
      const { loss, perplexity, labelTokens } = await this.#model.trace.span(`evaluation of ${dataset}`, "evaluation", { step }, () =>
        evaluateDataset(this.#model, held.dataset, held.batches, where),
      );
      const conditions = evaluationConditions(this.#environment, activations, held.batches);
      records.push({ dataset, fingerprint: held.dataset.fingerprint, step, loss, labelTokens, conditions });
      await this.#report({ type: "evaluation", step, dataset, loss, perplexity, tokens: labelTokens });
    }
    return records;
  }

  /** Losses on the run's own held-out sets. @throws LOSS_NOT_FINITE */
  own(step: number): Promise<EvaluationRecord[]> {
    const { evaluation: sets, config, tokenizer } = this.#prepared;
    const { evaluation, training, data } = config;
    const batches = {
      batchSize: evaluation.batchSize ?? training.batchSize,
      maxLength: data.maxLength,
      packing: data.packing,
      padId: tokenizer.padId ?? 0,
    };
    return this.#losses(
      step,
      [...sets].map(([name, dataset]) => [name, { dataset, batches }] as const),
    );
  }

  /** Losses on the held-out sets of the adapter that is continued. @throws LOSS_NOT_FINITE */
  parents(step: number): Promise<EvaluationRecord[]> {
    return this.#losses(step, this.#prepared.parentSets);
  }

  /** Exact match and F1. */
  async answers(step: number): Promise<AnswerRecord[]> {
    const { answers, tokenizer, config } = this.#prepared;
    const maxTokens = evaluationSettings(config.evaluation).answerTokens;
    const records: AnswerRecord[] = [];
    for (const [dataset, set] of answers) {
      const scores = await scoreAnswers(this.#model, tokenizer, set, { maxTokens, stopRequested: this.#stopRequested });
      records.push({ dataset, fingerprint: set.fingerprint, step, ...scores });
      await this.#report({ type: "answers", step, dataset, ...scores });
    }
    return records;
  }

  /** Completions of the sample prompts. */
  async samples(): Promise<Sample[]> {
    const { tokenizer, config } = this.#prepared;
    const samples: Sample[] = [];
    for (const prompt of config.evaluation.samplePrompts) {
      const text = await completeText(this.#model, tokenizer, prompt, config.evaluation.sampleTokens);
      samples.push({ prompt, text });
      await this.#report({ type: "sample", prompt, text });
    }
    return samples;
  }
}
