import { z } from "zod";
import { dataSchema } from "./data-schema.ts";

/**
 * The schema of run.yaml: one source for types, validation, JSON Schema and
 * the reference page. Each default says where it comes from.
 */

const wholeNumber = z.number().int();
const positiveCount = wholeNumber.positive();
const text = z.string().min(1);

/** One value or several: `a` means `[a]`. */
const textList = z.union([text, z.array(text)]).transform((value) => (typeof value === "string" ? [value] : value));
const filledTextList = z.union([text, z.array(text).min(1)]).transform((value) => (typeof value === "string" ? [value] : value));

const quantizationObject = z.strictObject({
  type: z.enum(["nf4"]).default("nf4").describe("the 4-bit type"),
  // As QLoRA (Dettmers et al. 2023, §3): saves 0.37 bits a weight.
  doubleQuant: z.boolean().default(true).describe("quantize the block scales too: saves 0.37 bits a weight"),
});

const quantization = z
  .union([z.enum(["nf4", "none"]), quantizationObject])
  .transform((value) => {
    if (value === "none") return null;
    return value === "nf4" ? { type: "nf4" as const, doubleQuant: true } : value;
  })
  .describe("how the frozen base is kept: nf4 (an eighth of fp32) or none");

const adapterObject = z
  .strictObject({
    // r = 16, alpha = r, dropout 0: the starting point that Unsloth's notebooks use (PEERS §C).
    rank: positiveCount.default(16).describe("LoRA rank; higher learns more and costs memory and file size in proportion"),
    alpha: z
      .number()
      .positive()
      .optional()
      .describe("LoRA alpha; the adapter is scaled by alpha / rank; default: the rank, a scaling of 1"),
    rankPattern: z
      .record(text, positiveCount)
      .prefault({})
      .describe(
        "other ranks for some modules: ends of their names, or Python patterns for them, and a rank each; the first that matches wins",
      ),
    alphaPattern: z.record(text, z.number().positive()).prefault({}).describe("the same for alpha"),
    rslora: z.boolean().default(false).describe("scale by alpha / √rank instead, which keeps high ranks learning (rsLoRA)"),
    dropout: z.number().min(0).lt(1).default(0).describe("share of the adapter's inputs that are dropped while training"),
    targetModules: z
      .union([text, z.array(text).min(1)])
      .default("all-linear")
      .describe("what gets LoRA: all-linear, a list of name endings, or one pattern that must match the whole module name"),
    excludeModules: z
      .union([text, z.array(text)])
      .nullable()
      .default(null)
      .describe("modules taken out of targetModules again"),
    layers: z.array(wholeNumber.nonnegative()).min(1).nullable().default(null).describe("layer numbers that get LoRA; null: all layers"),
    modulesToSave: textList.prefault([]).describe("modules trained in full, as copies: embed_tokens, lm_head"),
    ensureWeightTying: z
      .boolean()
      .nullable()
      .default(null)
      .describe(
        "where the base ties embed_tokens and lm_head and one of them is trained: true for one shared copy, false for each apart; must be said then",
      ),
    init: z.enum(["kaiming", "gaussian"]).default("kaiming").describe("how A starts; B starts at zero either way"),
    fullCopyDtype: z
      .enum(["fp32", "bf16"])
      .default("fp32")
      .describe("masters of full copies: fp32, or bf16 with stochastic rounding at half the memory"),
  })
  .transform((value) => ({ ...value, alpha: value.alpha ?? value.rank }));

const adapter = z
  .union([z.literal("none"), adapterObject])
  .transform((value) => (value === "none" ? null : value))
  .describe("the LoRA adapter; none only with fullParameter");

const rate = z.number().nonnegative();

const group = z.strictObject({
  name: text.describe("what progress and records call it"),
  match: filledTextList.describe(
    "whole dotted parts of tensor names, with * for any text: lm_head, layers.0, *.lora_B*; the first group that matches wins",
  ),
  learningRate: rate.nullable().default(null).describe("the group's own rate"),
  learningRateRatio: rate.nullable().default(null).describe("or its rate as a multiple of training.learningRate"),
  weightDecay: z.number().nonnegative().nullable().default(null).describe("the group's own weight decay; null: training.weightDecay"),
});

const training = z.strictObject({
  steps: positiveCount.nullable().default(null).describe("updates to make; or give epochs"),
  epochs: z.number().positive().nullable().default(null).describe("passes over the data; 1 if neither is given"),
  batchSize: positiveCount.default(4).describe("sequences in a micro-batch; more is faster and needs more memory"),
  accumulation: positiveCount.default(1).describe("micro-batches in an update; more costs time, not memory"),
  // QLoRA's own rate for 7B and 13B (Dettmers et al. 2023, table 9).
  learningRate: rate.default(2e-4).describe("peak learning rate of everything that no group names"),
  schedule: z.enum(["linear", "cosine", "constant"]).default("linear").describe("how the rate falls after the warm-up"),
  warmupSteps: wholeNumber.nonnegative().nullable().default(null).describe("updates over which the rate rises from 0; or give warmupRatio"),
  warmupRatio: z.number().min(0).max(1).nullable().default(null).describe("the same as a share of all updates"),
  optimizer: z
    .enum(["adamw", "adamw8bit"])
    .default("adamw")
    .describe("adamw: fp32 moments, 8 bytes per trained value; adamw8bit: moments in 8 bits as bitsandbytes keeps them, 2 bytes"),
  // transformers' TrainingArguments: no decay, AdamW (0.9, 0.999, 1e-8), clipping at 1, seed 42.
  weightDecay: z.number().nonnegative().default(0).describe("AdamW's decoupled weight decay"),
  betas: z
    .tuple([z.number().min(0).lt(1), z.number().min(0).lt(1)])
    .default([0.9, 0.999])
    .describe("AdamW's moment decay rates"),
  epsilon: z.number().positive().default(1e-8).describe("AdamW's epsilon"),
  maxGradNorm: z.number().positive().nullable().default(1).describe("gradients are clipped to this global norm; null: never"),
  lossNormalization: z
    .enum(["token", "micro"])
    .default("token")
    .describe("token: mean over all label tokens of an update; micro: mean of the micro-batches' means"),
  seed: wholeNumber.nonnegative().max(0xffffffff).default(42).describe("of initialization, order and dropout"),
  groups: z.array(group).prefault([]).describe("learning-rate groups, matched on tensor names"),
});

/** `true`: in any measure at all. */
const share = z.union([z.literal(true), z.number().nonnegative()]).transform((value) => (value === true ? 0 : value));
const setNames = z
  .union([text, z.array(text).min(1)])
  .transform((value) => (typeof value === "string" ? [value] : value))
  .nullable()
  .default(null);

/** A condition on evaluations. Also what `heirloom eval --gate` takes. */
export const gateSchema = z.strictObject({
  dataset: setNames.describe("held-out set or sets, or sets of answers, that it is about; null: all that have the metric"),
  metric: z.enum(["loss", "perplexity", "exactMatch", "f1"]).default("loss").describe("what is compared"),
  mustFall: share.nullable().default(null).describe("by at least this share of the value before: 0.1 is 10 %; true: at all"),
  mustRise: share.nullable().default(null).describe("the same upwards"),
  mustNotRise: share.nullable().default(null).describe("by more than this share of the value before: 0.02 is 2 %; true: not at all"),
  mustNotFall: share.nullable().default(null).describe("the same downwards"),
  atMost: z.number().nullable().default(null).describe("largest value after the run"),
  atLeast: z.number().nullable().default(null).describe("smallest value after the run"),
});

const earlyStopping = z.strictObject({
  dataset: text.nullable().default(null).describe("held-out set that is watched; null: the first"),
  patience: positiveCount.describe("evaluations in a row that may pass without a better loss"),
  minDelta: z.number().nonnegative().default(0).describe("a loss counts as better if it is lower by more than this"),
  // As transformers asks for load_best_model_at_end where training is stopped early.
  restoreBest: z.boolean().default(true).describe("the final adapter is that of the lowest loss measured, not of the last update"),
});

const answerSets = z.union([text, z.array(text), z.record(text, filledTextList)]).transform((value): Record<string, string[]> => {
  if (typeof value === "string") return { answers: [value] };
  if (!Array.isArray(value)) return value;
  return value.length === 0 ? {} : { answers: value };
});

const evaluation = z.strictObject({
  everySteps: positiveCount
    .nullable()
    .default(null)
    .describe("evaluate every so many updates; always at the start and the end if there are eval data"),
  batchSize: positiveCount.nullable().default(null).describe("sequences in an evaluation batch; null: training.batchSize"),
  samplePrompts: z.array(text).default([]).describe("prompts that are completed before and after"),
  sampleTokens: positiveCount.default(48).describe("the longest completion of a sample prompt, in tokens"),
  answers: answerSets
    .prefault({})
    .describe(
      "file or files of prompts with answers, or a table of named ones: exact match and F1 of greedy completions, before and after",
    ),
  answerTokens: positiveCount.default(32).describe("the longest completion of a prompt with an answer, in tokens"),
  gates: z
    .array(gateSchema)
    .prefault([])
    .describe("conditions between the first evaluation and the last; if one fails, the run ends with exit 21"),
  earlyStopping: earlyStopping.nullable().default(null).describe("stop when the held-out loss no longer falls; needs everySteps"),
  parentSets: z
    .boolean()
    .default(true)
    .describe("a continuation is evaluated on its parent's held-out sets too, at the start and the end, as parent/NAME"),
});

const checkpoints = z.strictObject({
  everySteps: positiveCount
    .nullable()
    .default(null)
    .describe(
      "write a checkpoint every so many updates, beside training: it is whole when the next is due, often sooner; null: at the end and on Ctrl-C only",
    ),
  keepLast: positiveCount.nullable().default(null).describe("older checkpoints are removed; null: keep all"),
  keepBest: z
    .boolean()
    .default(true)
    .describe("the checkpoint of the lowest held-out loss so far stays whatever its age, if one was written at that update"),
});

const engine = z.strictObject({
  threads: positiveCount
    .nullable()
    .default(null)
    .describe("threads of the products; null: one per core; other counts may change the last bits"),
  activations: z
    .enum(["keep", "recompute"])
    .default("keep")
    .describe("keep: 4 FLOPs per weight and token; recompute: 6, with a block's memory instead of all blocks'"),
  dequantizedCache: z.enum(["auto", "on", "off"]).default("auto").describe("keep dequantized weights in memory; auto: if they fit"),
});

/** The zod schema of a whole run file. */
export const runSchema = z.strictObject({
  base: text.describe("folder of the base model"),
  quantization: quantization.prefault("nf4"),
  output: text.default("runs").describe("folder that run folders are made in"),
  fullParameter: z.boolean().default(false).describe("train all weights of the base; needs adapter: none and quantization: none"),
  adapter: adapter.prefault({}),
  data: dataSchema,
  training: training.prefault({}),
  evaluation: evaluation.prefault({}),
  checkpoints: checkpoints.prefault({}),
  engine: engine.prefault({}),
});

/** A complete, valid configuration: every key has a value, every path is absolute or remote. */
export type RunConfig = z.output<typeof runSchema>;
/** What run.yaml may hold. */
export type RunConfigInput = z.input<typeof runSchema>;
/** The `adapter` table of a run that has one. */
export type AdapterConfig = NonNullable<RunConfig["adapter"]>;
/** The `data` table. */
export type DataConfig = RunConfig["data"];
/** What `data.train` lists: a path, or a table with what holds for it alone. */
export type DataSourceConfig = DataConfig["train"][number];
/** The `training` table. */
export type TrainingConfig = RunConfig["training"];
/** Name of an optimizer. */
export type OptimizerName = TrainingConfig["optimizer"];
/** The `evaluation` table. */
export type EvaluationConfig = RunConfig["evaluation"];
/** A condition on evaluations. */
export type GateConfig = EvaluationConfig["gates"][number];
/** When a run stops before its last update. */
export type EarlyStoppingConfig = NonNullable<EvaluationConfig["earlyStopping"]>;
/** The `checkpoints` table. */
export type CheckpointConfig = RunConfig["checkpoints"];
/** The `engine` table. */
export type EngineConfig = RunConfig["engine"];
/** How a quantized base is kept. */
export type QuantizationConfig = NonNullable<RunConfig["quantization"]>;

/** JSON Schema (draft 2020-12) of run.yaml, for editors and the reference page. */
export function runJsonSchema(): Record<string, unknown> {
  return { title: "heirloom run configuration", ...z.toJSONSchema(runSchema, { io: "input" }) };
}
