// llama-tiny and llama-tiny-qlora: forward passes, gradients, two training runs and what they
// leave, on a dense base and on the same base in 4 bits.
import { join } from "node:path";
import type { LearningRateGroup } from "../../../src/config/index.ts";
import type { ActivationPolicy } from "../../../src/engine/index.ts";
import { DEFAULT_GROUP } from "../../../src/ledger/index.ts";
import type { SessionPlan } from "../../../src/train/index.ts";
import type { Check, Finding, Measure } from "../check.ts";
import { near, sameSet } from "../compare.ts";
import { floats, has, namesLike, once, readBatch, readBatches, readJsonFile, readTensors } from "../files.ts";
import { adapterLedger, baseLedger, line, observedLedger } from "../ledgers.ts";
import { gradientMeasures, logitsMeasure, lossMeasures, meanLoss } from "../logits.ts";
import { mergeMeasures } from "../merge.ts";
import { type LoadedBase, loadAdapter, loadBase, withModel } from "../scene.ts";
import { TOLERANCES } from "../tolerances.ts";
import { adapterMeasures, momentMeasures, notRepeatable, replay, usedGroups } from "../training.ts";
import { fourBitChecks } from "./four-bit.ts";

/** What of a set is opened when it is first needed. */
interface LlamaSet {
  readonly folder: string;
  /** Where the base lies. */
  readonly baseFolder: string;
  /** The set whose base and batches this one shares; itself, where it has its own. */
  readonly shared: string;
  readonly base: () => Promise<LoadedBase>;
}

type Scalars = Readonly<Record<string, number | undefined>>;

const scalarsOf = (folder: string): Promise<Scalars> => readJsonFile<Scalars>(folder, "scalars.json");

/** The checks of `llama-tiny/` or `llama-tiny-qlora/`. */
export function llamaChecks(folder: string): Promise<Check[]> {
  const fourBit = has(folder, "base-4bit");
  const baseFolder = join(folder, fourBit ? "base-4bit" : "base");
  // Not kept dequantized, so that dequantizing for each product is under test as well.
  const base = once(() => loadBase(baseFolder, null, fourBit ? "off" : "on"));
  const set: LlamaSet = { folder, baseFolder, shared: fourBit ? join(folder, "../llama-tiny") : folder, base };
  return Promise.resolve([
    ...(fourBit ? fourBitChecks(folder, baseFolder, join(set.shared, "base")) : []),
    ...baseChecks(set),
    ...adapterChecks(set),
    ...namesLike(folder, /^train_log_(\w+)\.json$/).flatMap((mode) => runChecks(set, mode)),
    ...mergedChecks(set),
  ]);
}

function baseChecks(set: LlamaSet): Check[] {
  const ledger: Check = { case: "base", kind: "ledger", run: () => baseLedger(set.baseFolder) };
  const forward: Check = { case: "base", kind: "logits", run: () => forwardPasses(set) };
  return [...(has(set.baseFolder, "config.legacy.json") ? [ledger] : []), ...(has(set.folder, "forward.safetensors") ? [forward] : [])];
}

async function forwardPasses({ folder, base }: LlamaSet): Promise<Measure[]> {
  const file = await readTensors(folder, "forward.safetensors");
  const scalars = await scalarsOf(folder);
  return withModel(await base(), null, async ({ model }) => {
    const measures: Measure[] = [];
    for (const name of file.tensors.keys()) {
      if (!name.endsWith(".logits")) continue;
      const kind = name.slice(0, -".logits".length);
      const batch = await readBatch(file, `${kind}.`);
      measures.push(await logitsMeasure(kind, model, batch, await floats(file, name)));
      measures.push(...(await lossMeasures(`${kind} loss`, model, batch, scalars[`${kind}.loss`])));
    }
    return measures;
  });
}

/** The first batches with the adapter: `lora_first_batch.safetensors` for the full one, a suffix for the padded. */
function firstBatches(folder: string): { file: string; kind: string; scalar: string }[] {
  return namesLike(folder, /^lora_first_batch(?:_(\w+))?\.safetensors$/).map((suffix) => ({
    file: `lora_first_batch${suffix === "" ? "" : `_${suffix}`}.safetensors`,
    kind: suffix === "" ? "full" : suffix,
    scalar: suffix === "" ? "lora" : `lora.${suffix}`,
  }));
}

function adapterChecks(set: LlamaSet): Check[] {
  const { folder, base } = set;
  if (!has(folder, "adapter-initial/adapter_model.safetensors")) return [];
  const ledger: Check = {
    case: "adapter",
    kind: "ledger",
    run: async () => {
      const adapter = await loadAdapter(join(folder, "adapter-initial"));
      const { spec, quantization } = await base();
      const [first] = firstBatches(folder);
      const observed = await observedLedger(await base(), adapter, 1, 8);
      const measures = [...adapterLedger(spec, adapter, quantization), observed.measure];
      if (first === undefined) return measures;
      const file = await readTensors(folder, first.file);
      const wanted = [...file.tensors.values()]
        .filter(({ name }) => name.startsWith("grad."))
        .map(({ name, shape }) => line(name.slice(5), shape));
      return [...measures, sameSet("live trainable tensors", wanted, observed.trainable)];
    },
  };
  const batches = firstBatches(folder);
  const logits: Check = { case: "adapter", kind: "logits", run: () => eachFirstBatch(set, ["keep"], "logits") };
  const gradients: Check = { case: "adapter", kind: "gradients", run: () => eachFirstBatch(set, ["keep", "recompute"], "gradients") };
  return [ledger, ...(batches.length > 0 && has(folder, "forward.safetensors") ? [logits, gradients] : [])];
}

async function eachFirstBatch(
  { folder, base }: LlamaSet,
  policies: readonly ActivationPolicy[],
  kind: "logits" | "gradients",
): Promise<Measure[]> {
  const inputs = await readTensors(folder, "forward.safetensors");
  const adapter = await loadAdapter(join(folder, "adapter-initial"));
  const scalars = await scalarsOf(folder);
  const measures: Measure[] = [];
  for (const policy of policies) {
    await withModel(
      await base(),
      adapter,
      async (live) => {
        for (const first of firstBatches(folder)) {
          const file = await readTensors(folder, first.file);
          const batch = await readBatch(inputs, `${first.kind}.`);
          if (kind === "gradients") {
            measures.push(
              ...(await gradientMeasures(`${first.kind} (${policy})`, live, batch, file, scalars[`${first.scalar}.grad_norm`])),
            );
          } else {
            measures.push(await logitsMeasure(first.kind, live.model, batch, await floats(file, "logits")));
            measures.push(...(await lossMeasures(`${first.kind} loss`, live.model, batch, scalars[`${first.scalar}.loss`])));
          }
        }
      },
      policy,
    );
  }
  return measures;
}

interface TrainConfig {
  readonly steps: number;
  readonly accumulation: number;
  readonly lr: number;
  readonly embed_lr_ratio: number;
  readonly weight_decay: number;
  readonly warmup_steps: number;
  readonly max_grad_norm: number | null;
  readonly betas: readonly [number, number];
  readonly eps: number;
  readonly schedule: string;
  readonly embed_group: readonly string[];
}

interface LogEntry {
  readonly step: number;
  readonly loss: number;
  readonly micro_losses: readonly number[];
  readonly grad_norm: number;
  readonly lr: number;
  readonly embed_lr: number;
}

function runChecks(set: LlamaSet, mode: string): Check[] {
  const { folder, base } = set;
  const name = `run-${mode}`;
  const checks: Check[] = [];
  if (has(folder, "adapter-initial/adapter_model.safetensors") && has(set.shared, "train_batches.safetensors"))
    checks.push({ case: name, kind: "training", run: () => repeatRun(set, mode) });
  // trained_forward.safetensors and the optimizer's state are of the token run.
  if (mode === "token" && has(folder, "trained_forward.safetensors") && has(folder, "adapter-final-token/adapter_model.safetensors")) {
    checks.push({
      case: name,
      kind: "logits",
      run: async () => {
        const want = await floats(await readTensors(folder, "trained_forward.safetensors"), "trained.logits");
        const batch = await readBatch(await readTensors(folder, "forward.safetensors"), "full.");
        const { "trained.loss": loss } = await scalarsOf(folder);
        return withModel(await base(), await loadAdapter(join(folder, "adapter-final-token")), async ({ model }) => [
          await logitsMeasure("saved adapter", model, batch, want),
          ...(await lossMeasures("saved adapter, loss", model, batch, loss)),
        ]);
      },
    });
  }
  return checks;
}

function planOf(config: TrainConfig, mode: "token" | "micro", groups: readonly LearningRateGroup[]): SessionPlan {
  return {
    groups,
    learningRate: config.lr,
    schedule: { name: "linear", steps: config.steps, warmupSteps: config.warmup_steps },
    training: {
      optimizer: "adamw",
      weightDecay: config.weight_decay,
      betas: [...config.betas],
      epsilon: config.eps,
      maxGradNorm: config.max_grad_norm,
      lossNormalization: mode,
      seed: 0,
    },
  };
}

async function repeatRun({ folder, shared, base }: LlamaSet, mode: string): Promise<Finding> {
  const config = await readJsonFile<TrainConfig>(folder, "train_config.json");
  if (mode !== "token" && mode !== "micro") return { unsupported: `loss normalization "${mode}"` };
  if (!/^linear warm-up from 0, then linear to 0$/.test(config.schedule)) return { unsupported: `schedule "${config.schedule}"` };
  const adapter = await loadAdapter(join(folder, "adapter-initial"));
  const obstacle = notRepeatable(adapter);
  if (obstacle !== null) return { unsupported: obstacle };
  const log = await readJsonFile<readonly LogEntry[]>(folder, `train_log_${mode}.json`);
  const batches = await readBatches(await readTensors(shared, "train_batches.safetensors"));
  const updates = log.map((_, i) => batches.slice(i * config.accumulation, (i + 1) * config.accumulation));
  const embeddings: LearningRateGroup = {
    name: "embeddings",
    match: config.embed_group,
    learningRate: config.lr * config.embed_lr_ratio,
    weightDecay: config.weight_decay,
  };
  return withModel(await base(), adapter, async (live) => {
    const records = log.map(({ step, loss, micro_losses: microLosses, grad_norm: gradNorm, lr, embed_lr: embedRate }) => ({
      step,
      loss,
      microLosses,
      gradNorm,
      rates: { [DEFAULT_GROUP]: lr, [embeddings.name]: embedRate },
    }));
    const plan = planOf(config, mode, usedGroups(live, [embeddings]));
    const { session, measures } = await replay(live, plan, records, updates);
    const final = `adapter-final-${mode}`;
    if (has(folder, final, "adapter_model.safetensors"))
      measures.push(...(await adapterMeasures("final adapter", live, await readTensors(folder, final, "adapter_model.safetensors"))));
    if (has(folder, `optimizer_final_${mode}.safetensors`)) {
      const state = await readTensors(folder, `optimizer_final_${mode}.safetensors`);
      measures.push(...(await momentMeasures("optimizer", session, state, (moment, name) => `${moment}.${name}`)));
    }
    const { "trained.loss": trained } = await scalarsOf(folder);
    if (mode === "token" && trained !== undefined && has(folder, "forward.safetensors")) {
      // Only the loss: where Adam enlarged rounding in an embedding, single logits of two right runs are 6e-5 apart.
      const batch = await readBatch(await readTensors(folder, "forward.safetensors"), "full.");
      measures.push(near("loss after training", trained, await meanLoss(live.model, batch), TOLERANCES.trainingLoss));
    }
    return measures;
  });
}

/** The merged model that is stored, run as a base of its own; and merging. */
function mergedChecks(set: LlamaSet): Check[] {
  const { folder } = set;
  const [merged] = namesLike(folder, /^(merged(?:-4bit)?)$/);
  if (merged === undefined || !has(folder, merged, "model.safetensors")) return [];
  const logits: Check = {
    case: merged,
    kind: "logits",
    run: async () => {
      const want = await floats(await readTensors(folder, "trained_forward.safetensors"), "merged.logits");
      const batch = await readBatch(await readTensors(folder, "forward.safetensors"), "full.");
      return withModel(await loadBase(join(folder, merged)), null, async ({ model }) => [
        await logitsMeasure("stored merged model", model, batch, want),
      ]);
    },
  };
  return [logits, { case: merged, kind: "merge", run: () => mergeAgain(set, merged) }];
}

/**
 * The adapter of the token run, merged: onto a 4-bit base dequantized, which is what it saw in training. (PEFT quantizes the sum
 * again, which changes logits by more than 1.)
 */
async function mergeAgain({ folder, baseFolder }: LlamaSet, merged: string): Promise<Measure[]> {
  const isPacked = merged === "merged-4bit";
  return mergeMeasures({
    adapter: join(folder, "adapter-final-token"),
    base: baseFolder,
    batch: await readBatch(await readTensors(folder, "forward.safetensors"), "full."),
    logits: await floats(await readTensors(folder, "trained_forward.safetensors"), "trained.logits"),
    stored: isPacked
      ? { file: join(folder, "merged_dequantized_plus_delta.safetensors"), whole: false }
      : { file: join(folder, merged, "model.safetensors"), whole: true },
  });
}
