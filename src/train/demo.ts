import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseChanges, resolveConfig } from "../config/index.ts";
import { isHeirloomError } from "../core/index.ts";
import { openFile } from "../core/node/index.ts";
import { readJsonl } from "../formats/index.ts";
import type { DemoResult, DemoStage, TrainingOptions, TrainingResult } from "./api.ts";
import type { LedgerEvent, TrainingEvent } from "./events.ts";
import type { Faults } from "./run-request.ts";
import { continueTraining, train } from "./train.ts";

const ASSETS = fileURLToPath(new URL("../../assets/", import.meta.url));

/** The first evaluation after loading must be the last one before saving; DESIGN gives 1e-5. */
const SAME_LOSS = 1e-5;
/** Share by which the held-out loss must fall. */
const REQUIRED_FALL = 0.1;

/** Prompts that are completed before and after, and the longest completion. */
const SAMPLES = 2;
const SAMPLE_TOKENS = 24;

const FULL_COPIES = ["embed_tokens", "lm_head"];

/** The copies' names in a live PEFT model: what other loaders freeze. */
const COPY_NAMES = [
  "base_model.model.model.embed_tokens.modules_to_save.default.weight",
  "base_model.model.lm_head.modules_to_save.default.weight",
];

function demoFile(name: string): string {
  return join(ASSETS, "demo", name);
}

/** The case of the 8B report on the small base: rank 32 on all linears, both embeddings in full at a tenth of the rate. */
function demoConfig(output: string, prompts: readonly string[]): Record<string, unknown> {
  return {
    base: join(ASSETS, "base"),
    quantization: "nf4",
    output,
    adapter: { rank: 32, alpha: 32, targetModules: "all-linear", modulesToSave: FULL_COPIES },
    data: { train: demoFile("definitions-train.jsonl"), eval: { definitions: demoFile("definitions-eval.jsonl") }, maxLength: 256 },
    training: {
      epochs: 2,
      batchSize: 8,
      learningRate: 2e-3,
      schedule: "cosine",
      warmupSteps: 3,
      groups: [{ name: "embeddings", match: FULL_COPIES, learningRateRatio: 0.1 }],
    },
    evaluation: { samplePrompts: prompts, sampleTokens: SAMPLE_TOKENS },
  };
}

/** The first held-out prompts of a set, which are completed before and after. */
async function samplePrompts(file: string): Promise<string[]> {
  const source = await openFile(demoFile(file));
  const prompts: string[] = [];
  try {
    for await (const { value } of readJsonl(source, file)) {
      prompts.push((value as { prompt: string }).prompt);
      if (prompts.length === SAMPLES) break;
    }
  } finally {
    await source.close();
  }
  return prompts;
}

/** What the second run adds: other data. Everything about the adapter is inherited. */
async function continuationValues(): Promise<string> {
  return JSON.stringify({
    evaluation: { samplePrompts: await samplePrompts("verses-eval.jsonl"), sampleTokens: SAMPLE_TOKENS },
    data: {
      train: demoFile("verses-train.jsonl"),
      eval: { definitions: demoFile("definitions-eval.jsonl"), verses: demoFile("verses-eval.jsonl") },
    },
    training: { epochs: 1, warmupSteps: 3 },
  });
}

interface Watched {
  readonly options: TrainingOptions;
  ledger: LedgerEvent | null;
}

/** Passes events on and keeps the ledger, which a refused run reports before it ends. */
function watch(options: TrainingOptions): Watched {
  const watched: Watched = {
    ledger: null,
    options: {
      ...options,
      onEvent(event: TrainingEvent) {
        if (event.type === "ledger") watched.ledger = event;
        options.onEvent?.(event);
      },
    },
  };
  return watched;
}

/** The stages in order: what each tries. */
const STORY = {
  trained: { name: "train", what: "train an adapter with full copies of both embeddings" },
  continued: { name: "continue", what: "continue it on other data, as exactly what it is" },
  byLedger: { name: "frozen", what: "continue it with the copies frozen, as other loaders do: the ledger must refuse" },
  byLiveness: { name: "frozen", what: "the same without the ledger's check: the first updates must give it away" },
} as const satisfies Record<string, Pick<DemoStage, "name" | "what">>;

function tell(options: TrainingOptions, { what }: Pick<DemoStage, "what">): void {
  const titles = Object.values(STORY).map((chapter) => chapter.what as string);
  options.onEvent?.({ type: "note", message: `stage ${titles.indexOf(what) + 1} of ${titles.length}: ${what}` });
}

async function stage(
  chapter: Pick<DemoStage, "name" | "what">,
  dataset: string,
  options: TrainingOptions,
  body: (options: TrainingOptions) => Promise<TrainingResult>,
): Promise<{ stage: DemoStage; result: TrainingResult | null }> {
  const began = performance.now();
  tell(options, chapter);
  const watched = watch(options);
  let result: TrainingResult | null = null;
  let code: string | null = null;
  try {
    result = await body(watched.options);
  } catch (error) {
    if (!isHeirloomError(error) || (error.code !== "LEDGER_MISMATCH" && error.code !== "LIVENESS_FAILED")) throw error;
    code = error.code;
  }
  const evaluation = result?.evaluations.find((candidate) => candidate.dataset === dataset);
  const counts = watched.ledger?.counts;
  return {
    result,
    stage: {
      ...chapter,
      trainable: counts?.trainable ?? 0,
      all: counts?.all ?? 0,
      percent: counts?.percent ?? 0,
      evalLossBefore: evaluation?.before ?? null,
      evalLossAfter: evaluation?.after ?? null,
      evaluations: result?.evaluations ?? [],
      seconds: (performance.now() - began) / 1000,
      refused: code !== null,
      code,
    },
  };
}

function continueFrom(
  adapter: string,
  output: string,
  text: string,
  faults?: Faults,
): (options: TrainingOptions) => Promise<TrainingResult> {
  const sources = {
    file: { path: join(output, "continue.json"), text },
    flags: [{ key: "output", value: output, flag: "--output" }],
  };
  return (options) =>
    continueTraining({ adapter, sources, changes: parseChanges([]) }, faults === undefined ? options : { ...options, faults });
}

function keptLoss(trained: TrainingResult, continued: TrainingResult): boolean {
  const after = trained.evaluations.find(({ dataset }) => dataset === "definitions")?.after ?? Number.NaN;
  const before = continued.evaluations.find(({ dataset }) => dataset === "definitions")?.before ?? Number.NaN;
  return Math.abs(after - before) <= SAME_LOSS;
}

function fell({ evalLossBefore, evalLossAfter }: DemoStage): boolean {
  return evalLossBefore !== null && evalLossAfter !== null && evalLossAfter <= evalLossBefore * (1 - REQUIRED_FALL);
}

/**
 * The main job on the bundled base: train with full embedding copies, continue
 * with the same ledger, and see the silent freeze of other loaders refused, by
 * the ledger and, with that check switched off, by liveness.
 *
 * @param output folder for the run folders
 */
export async function runDemo(options: TrainingOptions = {}, output = "runs"): Promise<DemoResult> {
  const { config, provenance } = resolveConfig({
    inherited: { name: "the demo", values: demoConfig(output, await samplePrompts("definitions-eval.jsonl")) },
  });
  const trained = await stage(STORY.trained, "definitions", options, (watched) => train(config, { ...watched, provenance }));
  const adapter = trained.result?.adapter ?? "";
  const text = await continuationValues();
  const frozen = (ledgerCheck: boolean): ReturnType<typeof continueFrom> =>
    continueFrom(adapter, output, text, { freeze: COPY_NAMES, ledgerCheck });
  const continued = await stage(STORY.continued, "verses", options, continueFrom(adapter, output, text));
  const byLedger = await stage(STORY.byLedger, "verses", options, frozen(true));
  const byLiveness = await stage(STORY.byLiveness, "verses", options, frozen(false));
  const ok =
    trained.result !== null &&
    continued.result !== null &&
    fell(trained.stage) &&
    trained.stage.trainable === continued.stage.trainable &&
    keptLoss(trained.result, continued.result) &&
    byLedger.stage.code === "LEDGER_MISMATCH" &&
    byLiveness.stage.code === "LIVENESS_FAILED";
  return { ok, stages: [trained.stage, continued.stage, byLedger.stage, byLiveness.stage] };
}
