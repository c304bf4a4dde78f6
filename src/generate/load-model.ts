import { basename, dirname } from "node:path";
import { resolveForEngine } from "../adapter/index.ts";
import { loadRuntime, type Runtime } from "../compute/index.ts";
import { HeirloomError, ProblemList } from "../core/index.ts";
import { loadTokenizer, requireEmbeddingRows, type Tokenizer } from "../data/index.ts";
import {
  type BaseWeights,
  CausalModel,
  type LoraPlan,
  loadModelFolder,
  loraPlans,
  type Parameter,
  readAdapterParameters,
} from "../engine/index.ts";
import { type AdapterFolder, basePathOf, locateModel, type ModelFolder, openAdapterFolder, openModelFolder } from "../folders/index.ts";
import type { ModelSpec } from "../model/index.ts";
import { type AdapterRecord, fingerprintModel, requireSameBase } from "../runs/index.ts";
import type { EngineModel, EngineSource } from "./api.ts";

/** A model ready to answer, with what is known of how it was trained. */
export interface LoadedModel {
  readonly model: CausalModel;
  readonly tokenizer: Tokenizer;
  readonly record: AdapterRecord | null;
  /** What had to be taken for granted, for people to read. */
  readonly notes: readonly string[];
}

/** A base with adapters side by side, by the names that they are asked for by. */
export interface LoadedModels {
  readonly spec: ModelSpec;
  readonly models: ReadonlyMap<string, { readonly kind: EngineModel["kind"]; readonly model: CausalModel }>;
  readonly tokenizer: Tokenizer;
  readonly notes: readonly string[];
  /** Frees all of them. */
  dispose(): Promise<void>;
}

interface LoadedAdapter {
  readonly parameters: Parameter[];
  readonly lora: ReadonlyMap<string, LoraPlan>;
  readonly record: AdapterRecord | null;
}

/** Everything on disk that models are made of. */
interface Parts {
  readonly runtime: Runtime;
  readonly base: BaseWeights;
  readonly basePath: string;
  readonly tokenizer: Tokenizer;
  /** In the order of the paths; null for the base itself. */
  readonly adapters: readonly (LoadedAdapter | null)[];
  readonly threads: number | null;
  readonly notes: readonly string[];
}

/** What a path leads to. */
type Located = Awaited<ReturnType<typeof locateModel>>;

const NO_ADAPTER = { parameters: [], lora: new Map<string, LoraPlan>() };

/**
 * Refuses another base than the one that an adapter was trained on, and adapters that hold it in different precisions; says
 * so where neither can be known.
 *
 * @throws BASE_MISMATCH
 */
async function checkBase(adapters: readonly AdapterFolder[], base: ModelFolder): Promise<string[]> {
  const notes: string[] = [];
  const recorded = adapters.filter(({ record }) => record !== null);
  for (const { record, folder } of adapters) {
    if (record === null)
      notes.push(
        `${adapters.length > 1 ? `${folder.name}: ` : ""}the adapter has no record of its training: the base is taken to be the right one, and as ${recorded.length > 0 ? "the others have it" : "its files have it (not quantized further)"}`,
      );
  }
  if (recorded.length === 0) return notes;
  const fingerprint = await fingerprintModel(base.folder);
  for (const { record } of recorded) requireSameBase(record, { folder: base.folder.name, fingerprint });
  const precision = ({ record }: AdapterFolder): string => JSON.stringify(record?.config.quantization ?? null);
  const [first, ...others] = recorded;
  for (const other of others) {
    if (first === undefined || precision(other) === precision(first)) continue;
    throw new HeirloomError(
      "BASE_MISMATCH",
      `expected adapters of one base in one precision, found ${precision(first)} and ${precision(other)}`,
      {
        where: other.folder.name,
        hint: "open them one after the other, or merge one of them",
      },
    );
  }
  return notes;
}

async function readAdapter(adapter: AdapterFolder, base: BaseWeights): Promise<LoadedAdapter> {
  const resolved = resolveForEngine(base.spec, adapter.spec);
  const options = { spec: adapter.spec, resolved, base, seed: 0, fullCopyDtype: "F32" as const };
  return { parameters: await readAdapterParameters(adapter.tensors, options), lora: loraPlans(resolved), record: adapter.record };
}

/** The one model that all paths come to: the one that is named, or that of the adapters. */
function commonBase(
  paths: readonly string[],
  located: readonly Located[],
  adapters: readonly AdapterFolder[],
  given: string | undefined,
): string {
  const models = located.filter(({ kind }) => kind === "model");
  if (models.length > 1) {
    const problems = new ProblemList();
    problems.add("BASE_MISMATCH", `expected one base model with its adapters, found ${models.length} models`, {
      where: paths.join(", "),
      hint: "one engine holds one base; open another for another",
    });
    problems.throwIfAny();
  }
  const [first] = adapters;
  const named = models[0]?.path ?? given;
  if (named !== undefined) return named;
  if (first === undefined) throw new HeirloomError("FILE_MISSING", "expected a model or an adapter, found nothing to open");
  return basePathOf(first, undefined);
}

/** @param checkNames of what was found and where the base is, before gigabytes are read */
async function loadParts(
  paths: readonly string[],
  givenBase: string | undefined,
  checkNames: (located: readonly Located[], basePath: string) => void = () => undefined,
): Promise<Parts> {
  const runtime = await loadRuntime(); // first: a missing peer is to be told before gigabytes are read
  const located: Located[] = [];
  for (const path of paths) located.push(await locateModel(path));
  const folders: AdapterFolder[] = [];
  try {
    for (const { kind, path } of located) if (kind === "adapter") folders.push(await openAdapterFolder(path));
    const basePath = commonBase(paths, located, folders, givenBase);
    checkNames(located, basePath);
    const model = await openModelFolder(basePath);
    try {
      const notes = await checkBase(folders, model);
      const tokenizer = await loadTokenizer(basePath);
      requireEmbeddingRows(tokenizer, model.spec.vocabSize);
      const record = folders.find((folder) => folder.record !== null)?.record ?? null;
      const base = await loadModelFolder(model, { quantization: record?.config.quantization ?? null, cache: "auto" });
      const read = new Map<AdapterFolder, LoadedAdapter>();
      for (const folder of folders) read.set(folder, await readAdapter(folder, base));
      const inOrder = folders.values();
      const adapters = located.map(({ kind }) => (kind === "adapter" ? (read.get(inOrder.next().value as AdapterFolder) ?? null) : null));
      return { runtime, base, basePath, tokenizer, adapters, threads: record?.config.engine.threads ?? null, notes };
    } finally {
      await model.folder.close();
    }
  } finally {
    await Promise.all(folders.map(({ folder }) => folder.close()));
  }
}

function causalModel({ runtime, base, threads }: Parts, adapter: LoadedAdapter | null): CausalModel {
  const { parameters, lora } = adapter ?? NO_ADAPTER;
  return new CausalModel({ runtime, spec: base.spec, base, parameters, lora, dropout: 0, activations: "recompute", threads });
}

/**
 * Opens an adapter on its base, or a plain model, quantized as it was trained.
 *
 * @throws BASE_MISMATCH, TOKENIZER_TOO_LARGE, and what reading the files throws
 */
export async function loadModel(path: string, base?: string): Promise<LoadedModel> {
  const parts = await loadParts([path], base);
  const [adapter = null] = parts.adapters;
  return { model: causalModel(parts, adapter), tokenizer: parts.tokenizer, record: adapter?.record ?? null, notes: parts.notes };
}

/** What a folder is called: its last part, or that of the run that it lies in. */
export function modelName(path: string): string {
  const name = basename(path);
  const above = basename(dirname(path));
  if (name === "adapter" && above !== "") return above;
  return /^checkpoint-\d+$/.test(name) && above !== "" ? `${above}/${name}` : name;
}

/** What the base is called: as the source that names it, else by its folder. */
function baseName(sources: readonly EngineSource[], isBase: (at: number) => boolean, basePath: string): string {
  const named = sources.find((_, at) => isBase(at));
  return named === undefined ? modelName(basePath) : (named.id ?? modelName(named.path));
}

/** @throws CONFIG_INVALID for two models of one name */
function refuseEqualNames(sources: readonly EngineSource[], located: readonly Located[], basePath: string): void {
  const isBase = (at: number): boolean => located[at]?.kind === "model";
  const known = new Set([baseName(sources, isBase, basePath)]);
  for (const [at, { path, id = modelName(path) }] of sources.entries()) {
    if (isBase(at)) continue;
    if (known.has(id)) {
      throw new HeirloomError("CONFIG_INVALID", `expected a name for each model, found two that are called ${id}`, {
        where: sources.map((source) => source.path).join(", "),
        hint: "give them names: NAME=PATH",
      });
    }
    known.add(id);
  }
}

/**
 * Opens a base with several adapters on it; the base's weights are held once.
 *
 * @throws BASE_MISMATCH also for adapters of different bases or precisions; CONFIG_INVALID for two of one name; as {@link loadModel}
 */
export async function loadModels(sources: readonly EngineSource[], base?: string): Promise<LoadedModels> {
  const paths = sources.map(({ path }) => path);
  const parts = await loadParts(paths, base, (located, basePath) => refuseEqualNames(sources, located, basePath));
  const host = causalModel(parts, null);
  const own = baseName(sources, (at) => parts.adapters[at] === null, parts.basePath);
  const models = new Map<string, { kind: EngineModel["kind"]; model: CausalModel }>([[own, { kind: "base", model: host }]]);
  for (const [at, adapter] of parts.adapters.entries()) {
    const { path, id = modelName(path) } = sources[at] as EngineSource;
    if (adapter !== null) models.set(id, { kind: "adapter", model: host.withAdapter(adapter) });
  }
  return { spec: host.spec, models, tokenizer: parts.tokenizer, notes: parts.notes, dispose: () => host.dispose() };
}
