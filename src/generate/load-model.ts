import { resolveForEngine } from "../adapter/index.ts";
import { loadRuntime } from "../compute/index.ts";
import { HeirloomError } from "../core/index.ts";
import { loadTokenizer, requireEmbeddingRows, type Tokenizer } from "../data/index.ts";
import { CausalModel, loadModelFolder, loraPlans, type Parameter, readAdapterParameters } from "../engine/index.ts";
import { type AdapterFolder, locateModel, type ModelFolder, openAdapterFolder, openModelFolder } from "../folders/index.ts";
import { type AdapterRecord, fingerprintModel, requireSameBase } from "../runs/index.ts";

/** A model ready to answer, with what is known of how it was trained. */
export interface LoadedModel {
  readonly model: CausalModel;
  readonly tokenizer: Tokenizer;
  readonly record: AdapterRecord | null;
  /** What had to be taken for granted, for people to read. */
  readonly notes: readonly string[];
}

function baseOf(adapter: AdapterFolder, given: string | undefined): string {
  const path = given ?? adapter.record?.base.path ?? adapter.spec.baseModel;
  if (path !== null && path !== undefined && path !== "") return path;
  throw new HeirloomError("FILE_MISSING", "the adapter does not say which base model it belongs to", {
    where: adapter.folder.name,
    hint: "name it with --base",
  });
}

/** Refuses another base than the one that the adapter was trained on; says so where that cannot be known. @throws BASE_MISMATCH */
async function checkBase(adapter: AdapterFolder, base: ModelFolder): Promise<string[]> {
  if (adapter.record === null) {
    return [
      "the adapter has no record of its training: the base is taken to be the right one, and as its files have it (not quantized further)",
    ];
  }
  requireSameBase(adapter.record, { folder: base.folder.name, fingerprint: await fingerprintModel(base.folder) });
  return [];
}

/**
 * Opens an adapter on its base, or a plain model, quantized as it was trained.
 *
 * @throws BASE_MISMATCH, TOKENIZER_TOO_LARGE, and what reading the files throws
 */
export async function loadModel(path: string, base?: string): Promise<LoadedModel> {
  const runtime = await loadRuntime(); // first: a missing peer is to be told before gigabytes are read
  const located = await locateModel(path);
  const adapter = located.kind === "adapter" ? await openAdapterFolder(located.path) : null;
  const modelPath = adapter === null ? located.path : baseOf(adapter, base);
  const folder = await openModelFolder(modelPath);
  try {
    const { spec } = folder;
    const notes = adapter === null ? [] : await checkBase(adapter, folder);
    const tokenizer = await loadTokenizer(modelPath);
    requireEmbeddingRows(tokenizer, spec.vocabSize);
    const weights = await loadModelFolder(folder, { quantization: adapter?.record?.config.quantization ?? null, cache: "auto" });
    let parameters: Parameter[] = [];
    const resolved = adapter === null ? null : resolveForEngine(spec, adapter.spec);
    if (adapter !== null && resolved !== null) {
      parameters = await readAdapterParameters(adapter.tensors, {
        spec: adapter.spec,
        resolved,
        base: weights,
        seed: 0,
        fullCopyDtype: "F32",
      });
    }
    const model = new CausalModel({
      runtime,
      spec,
      base: weights,
      parameters,
      lora: resolved === null ? new Map() : loraPlans(resolved),
      dropout: 0,
      activations: "recompute",
      threads: adapter?.record?.config.engine.threads ?? null,
    });
    return { model, tokenizer, record: adapter?.record ?? null, notes };
  } finally {
    await Promise.all([folder.folder.close(), adapter?.folder.close()]);
  }
}
