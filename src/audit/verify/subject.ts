import { basename } from "node:path";
import { HeirloomError } from "../../core/index.ts";
import { type OpenedPath, OpenPaths } from "../../folders/index.ts";
import { type LoraPeftConfig, type PeftConfig, type PeftRelease, printable, type TensorFile } from "../../formats/index.ts";
import { type Ledger, readLedger } from "../../ledger/index.ts";
import { checkpointStep, fingerprintModel, readAdapterRecord } from "../../runs/index.ts";
import { modelLedger } from "../model-ledger.ts";
import { matchOptimizer } from "../optimizer-match.ts";
import { recordedBase } from "../recorded-base.ts";
import { readTrainerFiles, type TrainerFiles } from "../trainer-checkpoint.ts";
import { modelFacts, type OpenedBase, openBase } from "./base.ts";
import { readKey } from "./keys.ts";
import { readTokenizerSize } from "./tokenizer-size.ts";
import type { AuditSubject, BaseModule, Part, PreviousFacts, PrintedBanner, RunFacts, SubjectParts } from "./types.ts";
import { sameShape, valueReader } from "./values.ts";

/** What a subject is made from, beside its folder. */
export interface SubjectOptions {
  /** Folder of the base model, or its config.json. */
  readonly base?: string | undefined;
  /** Folder of an earlier state. */
  readonly against?: string | undefined;
  /** The PEFT release that the adapter is to be loaded with. */
  readonly peft?: PeftRelease | undefined;
  readonly banners?: readonly PrintedBanner[] | undefined;
  /** Whether values are read even without anything to compare them with. */
  readonly values?: boolean | undefined;
  /** Set for the end of a run: what its result names. */
  readonly run?: RunFacts | null | undefined;
  /** Whether an earlier state without a tensor in common is refused; in a row of states it is one that is not compared. @defaultValue false */
  readonly requiresCommon?: boolean;
  /** False if the earlier state may be the same one, saved again. @defaultValue true */
  readonly expectsChange?: boolean;
}

/** An {@link AuditSubject} whose files are open. */
export interface OpenedSubject {
  readonly subject: AuditSubject;
  /** Folder that the weights lie in. */
  readonly folder: string;
  close(): Promise<void>;
}

const DTYPES: Readonly<Record<string, string>> = { bfloat16: "BF16", float16: "F16", float32: "F32" };

interface Content {
  readonly config: PeftConfig | null;
  readonly weights: TensorFile;
}

async function contentOf(opened: OpenedPath): Promise<Content> {
  return { config: await opened.adapterConfig(), weights: await opened.requireWeights() };
}

const loraOf = (config: PeftConfig | null): LoraPeftConfig | null => (config?.kind === "lora" ? config : null);

async function previousFacts(path: string, paths: OpenPaths): Promise<PreviousFacts> {
  const { config, weights } = await contentOf(await paths.open(path));
  return { label: printable(basename(path)), lora: loraOf(config), weights };
}

/** How many tensors have one name in both, and how many of these one shape. */
function common(a: TensorFile, b: TensorFile): { names: number; shapes: number } {
  let [names, shapes] = [0, 0];
  for (const { name, shape } of a.tensors.values()) {
    const other = b.tensors.get(name);
    if (other === undefined) continue;
    names++;
    if (sameShape(shape, other.shape)) shapes++;
  }
  return { names, shapes };
}

/** A comparison that was asked for and compares nothing would pass whatever is wrong. */
function requireCommon(weights: TensorFile, previous: PreviousFacts, path: string, against: string): void {
  if (common(weights, previous.weights).names > 0) return;
  const example = (file: TensorFile): string => printable([...file.tensors.keys()][0] ?? "no tensor at all", 80);
  throw new HeirloomError(
    "COMPARISON_EMPTY",
    `expected an earlier state of ${path}, found no tensor in common: ${example(weights)} here, ${example(previous.weights)} there`,
    { where: against, hint: "give --against an earlier checkpoint of the same adapter or model; the base is given with --base" },
  );
}

/** A folder that bears a checkpoint's name is one, even if its trainer_state.json was lost. */
async function trainerFacts(opened: OpenedPath): Promise<TrainerFiles | null> {
  const isCheckpoint = opened.files.has("trainer_state.json") || checkpointStep(opened.path) !== null;
  return isCheckpoint && opened.kind !== "file" ? readTrainerFiles(opened) : null;
}

function ledgerOf({ holds }: OpenedPath, { config, weights }: Content, base: OpenedBase | null, model: AuditSubject["model"]): Ledger {
  if (holds !== "adapter") return modelLedger(weights, model?.spec ?? null);
  const spec = base?.facts.spec ?? null;
  const tensors = weights.tensors.values();
  return readLedger(spec === null ? { tensors, config } : { tensors, config, spec, baseDtype: DTYPES[spec.torchDtype ?? ""] ?? "F32" });
}

/** Some models are stored without the first part of their modules' paths (gpt2's `transformer.`): it is put back. */
function alignedModules(modules: readonly BaseModule[] | null, names: readonly string[]): readonly BaseModule[] | null {
  if (modules === null) return null;
  const paths = new Set(modules.map(({ path }) => path));
  if (names.some((name) => paths.has(name))) return modules;
  const shifted = names.find((name) => name.includes(".") && paths.has(name.slice(name.indexOf(".") + 1)));
  if (shifted === undefined) return modules;
  const first = shifted.slice(0, shifted.indexOf("."));
  return modules.map(({ path, shape }) => ({ path: `${first}.${path}`, shape }));
}

/** Why a part is not there, if nothing more particular is known. */
const REASONS: Readonly<Record<Part, string>> = {
  adapter: "there is no adapter_config.json: it is a model, or weights by themselves",
  lora: "it is no LoRA adapter",
  model: "it is an adapter, not a model",
  base: "without --base",
  modules: "without --base the base's modules are not known",
  baseWeights: "without the base's weights (--base FOLDER)",
  previous: "without --against",
  earlier: "without --against",
  ledger: "without a ledger",
  trainer: "it is no checkpoint of a trainer",
  optimizer: "there is no optimizer state beside it",
  tokenizer: "there is no tokenizer.json beside it",
  banners: "without --banner or --log",
  run: "it is not the end of a run",
  record: "there is no record of a run beside it",
  baseFingerprint: "without the base's weights, or a record that says which they were",
  peftRelease: "without --peft",
  values: "without --values, --base or --against",
};

function reasonsFor({ adapter, base, previous, earlier, trainer }: SubjectParts, comparable: boolean): AuditSubject["absent"] {
  const type = adapter?.kind === "other" ? { lora: `its PEFT type is ${printable(adapter.peftType, 40)}, not LORA` } : {};
  const modules =
    base === null
      ? {}
      : { modules: "the base has no weights, and its architecture is not known", baseWeights: "the base was given without weights" };
  const optimizer = trainer !== null && trainer.unread.length > 0 ? { optimizer: printable(trainer.unread[0] ?? "") } : {};
  const why = comparable
    ? "it may be the last checkpoint, saved again"
    : `no tensor has the name and shape that it has in ${previous?.label ?? ""}`;
  const same = previous !== null && earlier === null ? { earlier: why } : {};
  return { ...REASONS, ...type, ...modules, ...optimizer, ...same };
}

async function build(path: string, opened: OpenedPath, options: SubjectOptions, paths: OpenPaths): Promise<AuditSubject> {
  const content = await contentOf(opened);
  const { config, weights } = content;
  const isAdapter = opened.holds === "adapter";
  const basePath = options.base ?? (await recordedBase(opened));
  const base = basePath === null ? null : await openBase(basePath, paths);
  const model = isAdapter || opened.configFile === null ? null : await modelFacts(opened, weights);
  const ledger = ledgerOf(opened, content, base, model);
  const trainer = await trainerFacts(opened);
  const previous = options.against === undefined ? null : await previousFacts(options.against, paths);
  if (previous !== null && options.requiresCommon === true) requireCommon(weights, previous, path, options.against ?? "");
  const isComparable = previous !== null && common(weights, previous.weights).shapes > 0;
  // A base that nobody named is held against the headers only: reading it all may take minutes.
  const readsValues = options.values === true || options.base !== undefined || previous !== null;
  const record = isAdapter ? await readAdapterRecord(opened.folder) : null;
  const keys = !isAdapter ? [] : [...weights.tensors.keys()].map(readKey);
  const isOrdered = !isAdapter || (base !== null && base.facts.spec !== null);
  const parts: SubjectParts = {
    adapter: config,
    lora: loraOf(config),
    model,
    base: base?.facts ?? null,
    modules: alignedModules(
      base?.modules ?? null,
      keys.map(({ module }) => module),
    ),
    baseWeights: base?.weights ?? null,
    previous,
    earlier: isComparable && options.expectsChange !== false ? previous.weights : null,
    ledger,
    trainer,
    optimizer: trainer === null ? null : matchOptimizer(trainer, ledger, isOrdered),
    tokenizer: await readTokenizerSize([opened.folder, ...(base === null ? [] : [base.folder])]),
    banners: options.banners ?? null,
    record,
    run: options.run ?? null,
    baseFingerprint: record === null || base?.weights == null ? null : await fingerprintModel(base.folder),
    peftRelease: options.peft ?? null,
    values: readsValues ? valueReader() : null,
  };
  return { label: printable(basename(path)), weights, keys, ...parts, absent: reasonsFor(parts, isComparable) };
}

/**
 * Opens what is to be judged: configuration and headers now, values when a rule asks.
 *
 * @throws FILE_MISSING, FILE_UNREADABLE, JSON_INVALID, LFS_POINTER, PEFT_CONFIG_INVALID, MODEL_CONFIG_INVALID, SAFETENSORS_INVALID,
 * COMPARISON_EMPTY, SAFETENSORS_TRUNCATED, SHARD_INDEX_INVALID, TORCH_FILE_INVALID, PICKLE_INVALID, PICKLE_UNSAFE, RECORD_INVALID
 */
export async function openSubject(path: string, options: SubjectOptions): Promise<OpenedSubject> {
  const paths = new OpenPaths();
  try {
    const opened = await paths.open(path);
    return { subject: await build(path, opened, options, paths), folder: opened.path, close: () => paths.close() };
  } catch (error) {
    await paths.close();
    throw error;
  }
}
