import { adapterTensors, type ResolvedAdapter } from "../../adapter/index.ts";
import type { OptimizerName } from "../../config/index.ts";
import { hasEightBitMoments, type Ledger, type LedgerEntry, MOMENT_BLOCK } from "../../ledger/index.ts";
import { INPUT_EMBEDDING, type ModelSpec, modelModules, modelParameters } from "../../model/index.ts";
import { arenaBytes, keptPerToken, ranksOfLayers } from "./arenas.ts";
import type { Trained } from "./trained.ts";

/** What memory is held for. */
export type MemoryPartName =
  | "base"
  | "dequantized"
  | "fullCopies"
  | "masters"
  | "gradients"
  | "optimizer"
  | "activations"
  | "head"
  | "transient"
  | "process";

/** One part of the peak, and how it was worked out. */
export interface MemoryPart {
  readonly part: MemoryPartName;
  readonly bytes: number;
  readonly formula: string;
  /** False where the formula is exact: the buffers are counted, not guessed. */
  readonly estimated: boolean;
}

/** What decides a run's memory. */
export interface MemoryCase {
  readonly spec: ModelSpec;
  readonly ledger: Ledger;
  readonly resolved: ResolvedAdapter | null;
  readonly trained: Trained;
  readonly doubleQuant: boolean;
  /** True if dequantized weights stay in memory. */
  readonly cached: boolean;
  readonly activations: "keep" | "recompute";
  readonly dropout: number;
  readonly batch: number;
  readonly sequence: number;
  readonly headRows: number;
  readonly accumulation: number;
  readonly optimizer: OptimizerName;
  /** True if full copies have bf16 masters. */
  readonly bf16Copies: boolean;
}

/** Bytes of an fp32 value. */
const FLOAT = 4;
/** Logits of the slices of the vocabulary that the head is computed in; its two graphs hold about five times as many. */
const SLICE_LOGITS = 2 ** 21;
/** bitsandbytes' block sizes: weights per scale, scales per scale of the second level. */
const BLOCK = 64;
const NESTED_BLOCK = 256;
/**
 * Node.js, the program's modules, a started worker and onnxruntime with one compiled product, before any weight: 140 MiB
 * of resident set, by bench/memory/process-before-weights.mjs (Node.js 20, Linux x64; bench/results/plan-memory.json).
 */
const PROCESS_BYTES = 140 * 2 ** 20;
/**
 * What a run holds above all that is counted here: garbage between collections, sessions' own structures, rows and their
 * tokens. 12 to 188 MiB in the nine runs of bench/results/plan-memory.json; this is their median.
 */
const RUNNING_BYTES = 80 * 2 ** 20;

function countOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** Codes and fp32 scales; with double quantization the scales' own codes and their scales instead. */
function packedBytes(count: number, doubleQuant: boolean): number {
  const blocks = Math.ceil(count / BLOCK);
  return Math.ceil(count / 2) + (doubleQuant ? blocks + FLOAT * Math.ceil(blocks / NESTED_BLOCK) : FLOAT * blocks);
}

function baseParts({ spec, ledger, resolved, trained, cached, doubleQuant }: MemoryCase): MemoryPart[] {
  const packed = ledger.entries.filter(({ role }) => role === "quantized_base").map(({ parameters }) => parameters);
  // Full-parameter training trains the base's own memory: it is counted among the masters.
  const dense = resolved === null && trained.blocks ? 0 : ledger.entries.reduce((n, e) => (e.role === "base" ? n + e.parameters : n), 0);
  const quantized = packed.reduce((sum, n) => sum + n, 0);
  const largestLayer = new Map<string, number>();
  if (quantized > 0) {
    const names = new Set(ledger.entries.filter(({ role }) => role === "quantized_base").map(({ module }) => module));
    for (const { path, shape, layer } of modelModules(spec)) {
      if (!names.has(path)) continue;
      const kind = layer === null ? path : path.slice(path.indexOf(`.${layer}.`) + `.${layer}.`.length);
      largestLayer.set(kind, Math.max(largestLayer.get(kind) ?? 0, countOf(shape)));
    }
  }
  const oneLayer = [...largestLayer.values()].reduce((sum, n) => sum + n, 0);
  return [
    {
      part: "base",
      bytes: FLOAT * dense + (cached ? 0 : packed.reduce((sum, n) => sum + packedBytes(n, doubleQuant), 0)),
      formula: cached
        ? "4 bytes per dense weight; quantized ones are held dequantized"
        : `4 bytes per dense weight; NF4: half a byte per weight, ${doubleQuant ? 1 : 4} per block of ${BLOCK}`,
      estimated: false,
    },
    {
      part: "dequantized",
      bytes: FLOAT * (cached ? quantized : oneLayer),
      formula: cached ? "4 bytes per quantized weight, all layers" : "4 bytes per quantized weight of one layer",
      estimated: false,
    },
  ];
}

/** Both moments of a trained tensor. */
function momentBytes(entry: LedgerEntry, optimizer: OptimizerName): number {
  const { parameters } = entry;
  if (optimizer === "adamw" || !hasEightBitMoments(entry)) return 2 * FLOAT * parameters;
  return 2 * (parameters + FLOAT * Math.ceil(parameters / MOMENT_BLOCK));
}

/** Gradients of an embedding that is only looked up: of the rows that an update reads, at most one for each of its tokens. */
function lookedUp({ spec, ledger, resolved, batch, sequence, accumulation }: MemoryCase): {
  readonly values: number;
  readonly rows: number;
} {
  const entry = ledger.entries.find(({ trainable, module }) => trainable && module === INPUT_EMBEDDING);
  const isHead = resolved === null ? spec.tieWordEmbeddings : adapterTensors(resolved).some(({ aliasOf }) => aliasOf !== undefined);
  if (entry === undefined || isHead) return { values: 0, rows: 0 };
  return { values: entry.parameters, rows: Math.min(entry.parameters, batch * sequence * accumulation * spec.hiddenSize) };
}

function trainedParts(given: MemoryCase): MemoryPart[] {
  const { ledger, trained, accumulation, bf16Copies } = given;
  const entries = ledger.entries.filter((entry) => entry.trainable);
  const sum = (wanted: (role: string) => boolean) => entries.reduce((n, { role, parameters }) => (wanted(role) ? n + parameters : n), 0);
  const copies = sum((role) => role === "full_copy");
  const others = sum((role) => role !== "full_copy");
  // Gradients of the head and the embedding are added to in place; those of blocks come through a second buffer.
  const embeddings = trained.blocks
    ? entries.reduce((n, { module, parameters }) => (/^(model\.embed_tokens|model\.norm|lm_head)$/.test(module) ? n + parameters : n), 0)
    : 0;
  const second = accumulation > 1 ? others - embeddings : 0;
  const table = lookedUp(given);
  return [
    {
      part: "fullCopies",
      bytes: (bf16Copies ? 2 : FLOAT) * copies,
      formula: bf16Copies ? "2 bytes per value: bf16, rounded stochastically" : "4 bytes per value: fp32",
      estimated: false,
    },
    { part: "masters", bytes: FLOAT * others, formula: "4 bytes per LoRA value (or trained base weight)", estimated: false },
    {
      part: "gradients",
      bytes: FLOAT * (copies + others + second - table.values + table.rows),
      formula:
        accumulation > 1
          ? "4 bytes per trained value, and 4 more per value in blocks to add up micro-batches"
          : "4 bytes per trained value; of a looked-up embedding only the rows that an update reads",
      estimated: false,
    },
    {
      part: "optimizer",
      bytes: entries.reduce((sum, entry) => sum + momentBytes(entry, given.optimizer), 0),
      formula:
        given.optimizer === "adamw8bit"
          ? `AdamW: two moments of 8 bits with a scale for each ${MOMENT_BLOCK}; of LoRA B and small tensors two fp32 ones`
          : "AdamW: two fp32 moments, 8 bytes per trained value",
      estimated: false,
    },
  ];
}

function maskBytes({ spec, trained, dropout, batch, sequence }: MemoryCase): number {
  if (dropout === 0) return 0;
  const widths = new Map<string, number>();
  for (const { path, shape } of modelModules(spec)) {
    if (trained.ranks.has(path)) widths.set(path.slice(path.lastIndexOf(".") + 1), shape[1] as number);
  }
  return [...widths.values()].reduce((sum, width) => sum + batch * sequence * width, 0);
}

function activationPart(given: MemoryCase): MemoryPart {
  const { spec, trained, activations, batch, sequence } = given;
  const tokens = batch * sequence;
  const layers = ranksOfLayers(spec, trained.ranks);
  // Without a gradient for its input the lowest block has no use for its first norm's scale. With few
  // targets it keeps still less, with few targets and dropout a little more; that one block is not worked out.
  const unneeded = (layer: number): number => (layer === trained.lowestLayer && !trained.embedding ? 1 : 0);
  const kept =
    activations === "recompute"
      ? 0
      : layers.reduce((sum, ranks, layer) => (layer < trained.lowestLayer ? sum : sum + keptPerToken(spec, ranks) - unneeded(layer)), 0);
  const between = (spec.layerCount + 1 + 3) * spec.hiddenSize + spec.headDim;
  return {
    part: "activations",
    bytes: FLOAT * tokens * (kept + between) + maskBytes(given),
    formula:
      activations === "recompute"
        ? "per token: 4·D between layers, and dropout masks"
        : "per token and trained block: 4·(3D + 2 + 2Q + 2K + 3I + ranks), 4·D between layers, and dropout masks",
    estimated: false,
  };
}

/** What the runtime keeps for itself, and what a tensor needs while it is saved. */
function transientPart(given: MemoryCase): MemoryPart {
  const { bf16Copies, ledger } = given;
  const largest = ledger.entries.reduce((most, entry) => (entry.trainable ? Math.max(most, entry.parameters) : most), 0);
  // A checkpoint encodes one tensor at a time; bf16 masters are rounded one tensor at a time.
  const saving = (bf16Copies ? 2 : FLOAT) * largest;
  return {
    part: "transient",
    bytes: arenaBytes(given) + saving,
    formula: "intermediate results, which each compiled graph keeps its own memory for, and the largest trained tensor while it is saved",
    estimated: true,
  };
}

/**
 * The peak of a run's memory by what it is for. The parts are those of this
 * engine: a base in fp32 or NF4, fp32 working values and gradients, AdamW.
 */
export function plannedMemory(given: MemoryCase): MemoryPart[] {
  const { spec, headRows } = given;
  return [
    ...baseParts(given),
    ...trainedParts(given),
    activationPart(given),
    {
      part: "head",
      bytes: FLOAT * (headRows * (spec.vocabSize + 4 * spec.hiddenSize) + 5 * Math.min(SLICE_LOGITS, headRows * spec.vocabSize)),
      formula: "one chunk: 4 bytes × rows × (V + 4 D): logits, rows and their gradients; what is computed of one slice of the vocabulary",
      estimated: true,
    },
    transientPart(given),
    {
      part: "process",
      bytes: PROCESS_BYTES + RUNNING_BYTES,
      formula: "140 MiB of Node.js, worker and onnxruntime, measured before any weight; 80 MiB that runs hold besides",
      estimated: true,
    },
  ];
}

/** Bytes that dequantized linear layers would take, which `dequantizedCache: auto` weighs against the machine's memory. */
export function dequantizedBytes(spec: ModelSpec): number {
  return modelParameters(spec).reduce((sum, { kind, shape }) => (kind === "linear" ? sum + FLOAT * countOf(shape) : sum), 0);
}
