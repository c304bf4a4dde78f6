// hf-trainer-checkpoint: a run of transformers' Trainer with PEFT, repeated from its batches, and its
// checkpoints.
import { join } from "node:path";
import { learningRateGroups, parseChanges } from "../../../src/config/index.ts";
import type { MicroBatch } from "../../../src/data/index.ts";
import { DEFAULT_GROUP, trainerParameterIndex } from "../../../src/ledger/index.ts";
import { resolveHandover, type SessionPlan, type TrainingSession, takeUpOptimizer } from "../../../src/train/index.ts";
import type { Check, Finding, Measure } from "../check.ts";
import { near, sameList } from "../compare.ts";
import { foldersIn, has, namesLike, once, readBatches, readJsonFile, readTensors } from "../files.ts";
import { adapterLedger, baseLedger, observedLedger, predicted } from "../ledgers.ts";
import { loadAdapter, loadBase, readSpec, withModel } from "../scene.ts";
import { TOLERANCES } from "../tolerances.ts";
import { adapterMeasures, momentMeasures, notRepeatable, replay, type StepRecord, usedGroups } from "../training.ts";

interface Args {
  readonly learning_rate?: number;
  readonly lr_scheduler_type?: string;
  readonly max_steps: number;
  readonly warmup_steps?: number;
  readonly weight_decay?: number;
  readonly max_grad_norm?: number;
  readonly adam_beta1?: number;
  readonly adam_beta2?: number;
  readonly adam_epsilon?: number;
}

interface Steps {
  readonly log: readonly { readonly step: number; readonly loss: number; readonly grad_norm: number; readonly learning_rate: number }[];
  readonly micro_batches_per_step: readonly number[];
  readonly args: Args;
}

interface OptimizerIndex {
  readonly parameters: Readonly<Record<string, string>>;
  readonly param_groups: readonly { readonly lr: number; readonly params: readonly number[] }[];
}

/** Trainer's schedules that are ours too; a warm-up is left out of `constant`. */
const SCHEDULES: Readonly<Record<string, SessionPlan["schedule"]["name"]>> = {
  linear: "linear",
  cosine: "cosine",
  constant: "constant",
  constant_with_warmup: "constant",
};

/** Arguments that change the arithmetic in ways that are not repeated here. */
const KNOWN_ARGS =
  /^(?:seed|max_steps|per_device_train_batch_size|gradient_accumulation_steps|learning_rate|lr_scheduler_type|warmup_steps|weight_decay|max_grad_norm|adam_beta1|adam_beta2|adam_epsilon)$/;

/** The checks of `hf-trainer-checkpoint/`. */
export function trainerChecks(folder: string): Promise<Check[]> {
  const base = once(() => loadBase(join(folder, "base")));
  const checks: Check[] = [];
  if (has(folder, "adapter-initial/adapter_model.safetensors") && has(folder, "base/model.safetensors")) {
    checks.push({
      case: "run",
      kind: "ledger",
      run: async () => {
        const adapter = await loadAdapter(join(folder, "adapter-initial"));
        const observed = await observedLedger(await base(), adapter, 1, 8);
        return [...(await baseLedger(join(folder, "base"))), ...adapterLedger((await base()).spec, adapter, null), observed.measure];
      },
    });
    if (has(folder, "batches.safetensors")) checks.push({ case: "run", kind: "training", run: () => repeatRun(folder, base) });
  }
  const saved = has(folder, "run")
    ? foldersIn(join(folder, "run")).filter((name) => has(folder, "run", name, "adapter_model.safetensors"))
    : [];
  for (const name of saved) {
    checks.push({ case: name, kind: "ledger", run: () => checkpointLedger(folder, name) });
    if (has(folder, "run", name, "optimizer.pt")) checks.push({ case: name, kind: "training", run: () => goOn(folder, name, base) });
  }
  return Promise.resolve(checks);
}

/** A checkpoint's adapter, and the tensor that each index of its optimizer means. */
async function checkpointLedger(folder: string, name: string): Promise<Measure[]> {
  const spec = await readSpec(join(folder, "base"));
  const adapter = await loadAdapter(join(folder, "run", name));
  const measures = adapterLedger(spec, adapter, null);
  const step = name.replace(/^checkpoint-/, "");
  if (!has(folder, `optimizer-${step}.json`)) return measures;
  const index = await readJsonFile<OptimizerIndex>(folder, `optimizer-${step}.json`);
  const own = trainerParameterIndex(predicted(spec, adapter, null));
  return [
    ...measures,
    sameList("tensors by optimizer index", Object.values(index.parameters), own.byIndex),
    sameList(
      "sizes of the optimizer's groups",
      index.param_groups.map(({ params }) => `${params.length}`),
      [`${own.decay.length}`, `${own.noDecay.length}`],
    ),
  ];
}

function planOf(args: Args, schedule: SessionPlan["schedule"]["name"], noDecay: readonly string[]): SessionPlan {
  // What is not given has the defaults of TrainingArguments.
  const learningRate = args.learning_rate ?? 5e-5;
  const clip = args.max_grad_norm ?? 1;
  return {
    groups: noDecay.length === 0 ? [] : [{ name: "no-decay", match: noDecay, learningRate, weightDecay: 0 }],
    learningRate,
    schedule: { name: schedule, steps: args.max_steps, warmupSteps: args.lr_scheduler_type === "constant" ? 0 : (args.warmup_steps ?? 0) },
    training: {
      optimizer: "adamw",
      weightDecay: args.weight_decay ?? 0,
      betas: [args.adam_beta1 ?? 0.9, args.adam_beta2 ?? 0.999],
      epsilon: args.adam_epsilon ?? 1e-8,
      maxGradNorm: clip > 0 ? clip : null,
      lossNormalization: "token",
      seed: 0,
    },
  };
}

/** The micro-batches of each update. */
async function updatesOf(folder: string, sizes: readonly number[]): Promise<MicroBatch[][]> {
  const batches = await readBatches(await readTensors(folder, "batches.safetensors"));
  const ends = sizes.map((_, i) => sizes.slice(0, i + 1).reduce((sum, size) => sum + size, 0));
  return sizes.map((size, i) => batches.slice((ends[i] as number) - size, ends[i]));
}

function recordsOf(log: Steps["log"]): StepRecord[] {
  return log.map(({ step, loss, grad_norm: gradNorm, learning_rate: rate }) => ({
    step,
    loss,
    gradNorm,
    rates: { [DEFAULT_GROUP]: rate },
  }));
}

/** Goes on from a checkpoint as `heirloom resume` does, over the batches that the Trainer went on with. */
async function goOn(folder: string, name: string, base: () => ReturnType<typeof loadBase>): Promise<Finding> {
  const { log, micro_batches_per_step: sizes } = await readJsonFile<Steps>(folder, "steps.json");
  const checkpoint = join(folder, "run", name);
  const values = { base: join(folder, "base"), quantization: "none", data: { train: [join(folder, "batches.safetensors")] } };
  const file = { path: "run.json", text: JSON.stringify(values) };
  const { config, handover } = await resolveHandover({ checkpoint, sources: { file }, changes: parseChanges([]) });
  const { training } = config;
  const plan: SessionPlan = {
    groups: learningRateGroups(training),
    learningRate: training.learningRate,
    schedule: { name: training.schedule, steps: training.steps ?? 0, warmupSteps: training.warmupSteps ?? 0 },
    training,
  };
  const { step: done } = handover;
  const records = recordsOf(log).filter(({ step }) => step > done);
  const saved: Measure[] = [];
  return withModel(await base(), await loadAdapter(checkpoint), async (live) => {
    const { measures } = await replay(live, plan, records, (await updatesOf(folder, sizes)).slice(done), {
      begin: (session) => takeUpOptimizer(checkpoint, handover, session),
      afterStep: async (_, step) => {
        if (!has(folder, "run", `checkpoint-${step}`, "adapter_model.safetensors")) return;
        const after = await readTensors(folder, "run", `checkpoint-${step}`, "adapter_model.safetensors");
        saved.push(...(await adapterMeasures(`checkpoint-${step}`, live, after)));
      },
    });
    return [...measures, ...saved];
  });
}

async function repeatRun(folder: string, base: () => ReturnType<typeof loadBase>): Promise<Finding> {
  const { log, args, micro_batches_per_step: sizes } = await readJsonFile<Steps>(folder, "steps.json");
  const strange = Object.keys(args).filter((key) => !KNOWN_ARGS.test(key));
  const schedule = SCHEDULES[args.lr_scheduler_type ?? "linear"];
  if (strange.length > 0) return { unsupported: `Trainer's ${strange.join(", ")}` };
  if (schedule === undefined) return { unsupported: `Trainer's schedule "${args.lr_scheduler_type}"` };
  const adapter = await loadAdapter(join(folder, "adapter-initial"));
  const obstacle = notRepeatable(adapter);
  if (obstacle !== null) return { unsupported: obstacle };
  const updates = await updatesOf(folder, sizes);
  const records = recordsOf(log);
  const checkpoints = namesLike(join(folder, "run"), /^checkpoint-(\d+)$/);
  const { spec } = await base();
  const { noDecay } = trainerParameterIndex(predicted(spec, adapter, null));
  return withModel(await base(), adapter, async (live) => {
    const plan = planOf(args, schedule, noDecay);
    const saved: Measure[] = [];
    const afterStep = async (session: TrainingSession, step: number): Promise<void> => {
      if (!checkpoints.includes(`${step}`)) return;
      const file = await readTensors(folder, "run", `checkpoint-${step}`, "adapter_model.safetensors");
      saved.push(...(await adapterMeasures(`checkpoint-${step}`, live, file)));
      if (!has(folder, `optimizer-${step}.json`)) return;
      const index = await readJsonFile<OptimizerIndex>(folder, `optimizer-${step}.json`);
      const numbers = new Map(Object.entries(index.parameters).map(([number, name]) => [name, number]));
      const state = await readTensors(folder, `optimizer-${step}.safetensors`);
      saved.push(
        ...(await momentMeasures(`optimizer-${step}`, session, state, (moment, name) => `${numbers.get(name) ?? name}.${moment}`)),
      );
      const [group] = index.param_groups;
      const next = session.learningRates(step + 1).get(DEFAULT_GROUP);
      if (group !== undefined && next !== undefined)
        saved.push(near(`optimizer-${step}: next learning rate`, group.lr, next, TOLERANCES.learningRate));
    };
    const { measures } = await replay(live, { ...plan, groups: usedGroups(live, plan.groups) }, records, updates, { afterStep });
    return [...measures, ...saved];
  });
}
