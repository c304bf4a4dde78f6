import { resolveTargets } from "../adapter/index.ts";
import { loadRuntime } from "../compute/index.ts";
import { HeirloomError } from "../core/index.ts";
import { loadTokenizer, type Tokenizer } from "../data/index.ts";
import {
  type AdapterFolder,
  CausalModel,
  loadModelFolder,
  locateModel,
  loraPlans,
  openAdapterFolder,
  openModelFolder,
  type Parameter,
  readAdapterParameters,
} from "../engine/index.ts";
import type { AdapterRecord } from "../runs/index.ts";

/** A model ready to answer, with what is known of how it was trained. */
export interface LoadedModel {
  readonly model: CausalModel;
  readonly tokenizer: Tokenizer;
  readonly record: AdapterRecord | null;
}

function baseOf(adapter: AdapterFolder, given: string | undefined): string {
  const path = given ?? adapter.record?.base.path ?? adapter.spec.baseModel;
  if (path !== null && path !== undefined && path !== "") return path;
  throw new HeirloomError("FILE_MISSING", "the adapter does not say which base model it belongs to", {
    where: adapter.folder.path,
    hint: "name it with --base",
  });
}

/** Opens an adapter on its base, or a plain model, quantized as it was trained. */
export async function loadModel(path: string, base?: string): Promise<LoadedModel> {
  const runtime = await loadRuntime(); // first: a missing peer is to be told before gigabytes are read
  const located = await locateModel(path);
  const adapter = located.kind === "adapter" ? await openAdapterFolder(located.path) : null;
  const modelPath = adapter === null ? located.path : baseOf(adapter, base);
  const folder = await openModelFolder(modelPath);
  try {
    const { spec } = folder;
    const weights = await loadModelFolder(folder, { quantization: adapter?.record?.config.quantization ?? null, cache: "auto" });
    let parameters: Parameter[] = [];
    const resolved = adapter === null ? null : resolveTargets(spec, adapter.spec);
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
    return { model, tokenizer: await loadTokenizer(modelPath), record: adapter?.record ?? null };
  } finally {
    await Promise.all([folder.folder.close(), adapter?.folder.close()]);
  }
}
