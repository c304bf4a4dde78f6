import { type AdapterSpec, type ResolvedAdapter, resolveTargets } from "../../adapter/index.ts";
import type { LearningRateGroup, RunConfig } from "../../config/index.ts";
import { readModelSpec } from "../../folders/index.ts";
import { adapterFromConfig, DEFAULT_GROUP, type Ledger, ledgerCounts, peftBanner, predictRun, tiedTraining } from "../../ledger/index.ts";
import type { ModelSpec } from "../../model/index.ts";
import { plannedFiles } from "./files.ts";
import { microBatchFlops, type PlannedFlops } from "./flops.ts";
import { dequantizedBytes, type MemoryCase, type MemoryPart, plannedMemory } from "./memory.ts";
import { remediesFor } from "./remedies.ts";
import { roundingOf, roundingWarnings } from "./rounding-warnings.ts";
import { plannedTime } from "./time.ts";
import { type Trained, trainedParts } from "./trained.ts";
import type { PlannedGroup, PlanOptions, PlanResult, PlanWarning } from "./types.ts";

/** Values of config/ that are needed here; handed in so that the schema library loads only where a run file is read. */
interface ConfigKnowledge {
  groupsOf(training: RunConfig["training"]): readonly LearningRateGroup[];
  readonly cacheShare: number;
}

/** A configuration worked out on its base. */
interface Case {
  readonly config: RunConfig;
  readonly spec: ModelSpec;
  readonly adapter: { readonly spec: AdapterSpec; readonly resolved: ResolvedAdapter } | null;
  readonly trained: Trained;
  readonly ledger: Ledger;
  readonly memory: MemoryCase;
}

/** Most rows of one chunk of the head, and the fewest that are compiled, as in the engine. */
const HEAD_CHUNK = { most: 512, fewest: 32 };

function headChunk(rows: number): number {
  let size = HEAD_CHUNK.fewest;
  while (size < rows && size < HEAD_CHUNK.most) size *= 2;
  return size;
}

function caseOf(config: RunConfig, spec: ModelSpec, knowledge: ConfigKnowledge, memoryBytes: number): Case {
  const ledger = predictRun(config, spec, knowledge.groupsOf(config.training));
  const wanted = config.adapter === null ? null : adapterFromConfig(config.adapter, config.base);
  const adapter = wanted === null ? null : { spec: wanted, resolved: resolveTargets(spec, wanted) };
  const trained = trainedParts(spec, adapter?.resolved ?? null);
  const { dequantizedCache, activations } = config.engine;
  const auto = dequantizedBytes(spec) <= knowledge.cacheShare * memoryBytes;
  const memory = {
    spec,
    ledger,
    resolved: adapter?.resolved ?? null,
    trained,
    doubleQuant: spec.quantization?.doubleQuant ?? config.quantization?.doubleQuant ?? false,
    cached: dequantizedCache === "on" || (dequantizedCache === "auto" && auto),
    activations,
    dropout: config.adapter?.dropout ?? 0,
    batch: config.training.batchSize,
    sequence: config.data.maxLength,
    headRows: headChunk(config.training.batchSize * config.data.maxLength),
    accumulation: config.training.accumulation,
    optimizer: config.training.optimizer,
    bf16Copies: config.adapter?.fullCopyDtype === "bf16",
  };
  return { config, spec, adapter, trained, ledger, memory };
}

function sumBytes(parts: readonly MemoryPart[]): number {
  return parts.reduce((sum, { bytes }) => sum + bytes, 0);
}

function flopsPerUpdate({ config, spec, trained }: Case): PlannedFlops {
  const { batchSize: batch, accumulation } = config.training;
  const sequence = config.data.maxLength;
  const one = microBatchFlops(spec, trained, { batch, sequence, headRows: batch * sequence }, config.engine.activations);
  return Object.fromEntries(Object.entries(one).map(([name, flops]) => [name, flops * accumulation])) as unknown as PlannedFlops;
}

function plannedGroups({ config, ledger }: Case, groups: readonly LearningRateGroup[]): PlannedGroup[] {
  const all = [...groups, { name: DEFAULT_GROUP, learningRate: config.training.learningRate }];
  return all.flatMap(({ name, learningRate }) => {
    const entries = ledger.entries.filter(({ group }) => group === name);
    if (entries.length === 0) return [];
    return [{ name, learningRate, tensors: entries.length, parameters: entries.reduce((sum, { parameters }) => sum + parameters, 0) }];
  });
}

async function timeOf(made: Case, flops: PlannedFlops, options: PlanOptions): Promise<Pick<PlanResult, "time" | "timeReason">> {
  const speed = (await options.speed?.(made.spec)) ?? { reason: "unknown: no speed was given" };
  if ("reason" in speed) return { time: null, timeReason: speed.reason };
  const { batchSize, accumulation, steps } = made.config.training;
  const quantized = made.ledger.entries.reduce((sum, { role, parameters }) => (role === "quantized_base" ? sum + parameters : sum), 0);
  const work = {
    flops,
    tokens: batchSize * accumulation * made.config.data.maxLength,
    trainedValues: ledgerCounts(made.ledger).trainable,
    dequantized: made.memory.cached ? 0 : 2 * accumulation * quantized,
    updates: steps,
  };
  return { time: plannedTime(work, speed), timeReason: null };
}

function memoryWarning(totalBytes: number, memoryBytes: number): PlanWarning[] {
  if (totalBytes <= memoryBytes) return [];
  return [
    {
      code: "MEMORY",
      message: `the run needs ${totalBytes} bytes at its peak, and the machine has ${memoryBytes}`,
      hint: "see what would make it fit, or plan for another machine with --memory",
      tensors: [],
    },
  ];
}

/** What training a tensor that is used twice means. */
function tiedWarning({ spec, adapter }: Case): PlanWarning[] {
  const tied = adapter === null ? null : tiedTraining(spec, adapter.spec);
  if (tied === null) return [];
  return [
    {
      code: "TIED_EMBEDDINGS",
      message: `the base uses one tensor as embedding and head, and ${tied.modules.join(" and ")} ${tied.modules.length === 1 ? "is" : "are"} trained`,
      hint: tied.meaning,
      tensors: tied.modules.map((module) => `${module}.weight`),
    },
  ];
}

/** What a GGUF base needs before it can be trained on. */
function ggufWarning(base: string): PlanWarning[] {
  if (!/\.gguf$/i.test(base)) return [];
  return [
    {
      code: "GGUF_BASE",
      message: "the base is a GGUF file; this is the plan for what it becomes when it is imported",
      hint: `make a model folder of it before training: heirloom import ${base} -o ${base.replace(/\.gguf$/i, "")}`,
      tensors: [],
    },
  ];
}

/** {@link planRun} for a base whose config is at hand. */
async function planFromSpec(config: RunConfig, spec: ModelSpec, knowledge: ConfigKnowledge, options: PlanOptions): Promise<PlanResult> {
  const made = caseOf(config, spec, knowledge, options.memoryBytes);
  const counts = ledgerCounts(made.ledger);
  const flops = flopsPerUpdate(made);
  const parts = plannedMemory(made.memory);
  const totalBytes = sumBytes(parts);
  const fits = totalBytes <= options.memoryBytes;
  const peak = (changed: RunConfig): number => sumBytes(plannedMemory(caseOf(changed, spec, knowledge, options.memoryBytes).memory));
  const groups = plannedGroups(made, knowledge.groupsOf(config.training));
  const rounding = roundingOf(made.ledger, groups, spec.raw);
  const { batchSize, accumulation, steps } = config.training;
  return {
    base: config.base,
    architecture: spec.architecture,
    counts: { basis: "predicted", ...counts },
    banner: peftBanner(counts),
    groups,
    tensors: made.ledger.entries.map(({ state: _present, ...entry }) => entry),
    files: plannedFiles(
      spec,
      made.ledger,
      made.adapter,
      made.memory.bf16Copies,
      groups.map(({ name }) => name),
      config.training.optimizer,
    ),
    memory: {
      parts,
      totalBytes,
      machineBytes: options.memoryBytes,
      fits,
      remedies: fits ? [] : remediesFor(config, spec, { bytes: totalBytes, limit: options.memoryBytes, peak }),
    },
    update: {
      tokens: batchSize * accumulation * config.data.maxLength,
      microBatches: accumulation,
      flops,
      updates: steps,
    },
    ...(await timeOf(made, flops, options)),
    rounding,
    warnings: [
      ...ggufWarning(config.base),
      ...memoryWarning(totalBytes, options.memoryBytes),
      ...tiedWarning(made),
      ...roundingWarnings(rounding, made.ledger, made.memory.bf16Copies),
    ],
  };
}

/**
 * What a run will train, write and need, from its configuration and the base's
 * config.json alone; no weight and no data is read.
 *
 * @throws FILE_MISSING, MODEL_CONFIG_INVALID, ARCHITECTURE_UNSUPPORTED, ADAPTER_TARGET_MISSING, CONFIG_INVALID
 * @example
 * const { config } = resolveConfig({ file: { path: "run.yaml", text } });
 * const { banner, memory } = await planRun(config, { memoryBytes: 16 * 2 ** 30 });
 */
export async function planRun(config: RunConfig, options: PlanOptions): Promise<PlanResult> {
  return planModel(config, await readModelSpec(config.base), options);
}

/** {@link planRun} for a model that is known by its configuration only; nothing at all is read. */
export async function planModel(config: RunConfig, spec: ModelSpec, options: PlanOptions): Promise<PlanResult> {
  const { DEQUANTIZED_CACHE_SHARE, learningRateGroups } = await import("../../config/index.ts");
  return planFromSpec(config, spec, { groupsOf: learningRateGroups, cacheShare: DEQUANTIZED_CACHE_SHARE }, options);
}
