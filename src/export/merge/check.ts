import { adapterForEngine, resolveForEngine } from "../../adapter/index.ts";
import type { Runtime } from "../../compute/index.ts";
import { HeirloomError, isHeirloomError } from "../../core/index.ts";
import type { JobContext } from "../../core/node/index.ts";
import { loadTokenizer, type Tokenizer } from "../../data/index.ts";
import { openModelFolder } from "../../folders/index.ts";
import type { ModelSpec } from "../../model/index.ts";
import type { AdapterSource } from "../adapter-source.ts";
import { throwIfStopped } from "../output.ts";
import type { ExportEvent, MergeCheck } from "./api.ts";
import type { Merge } from "./prepared.ts";
import { compareLogits, logitBound, probeIds, probeLogits } from "./probe.ts";
import { isStoredIn4Bit } from "./settings.ts";

/** Refuses an adapter that can be merged but not run, so that nothing could be compared. @throws ADAPTER_UNSUPPORTED */
export function requireRunnable(spec: ModelSpec, { config, spec: adapter }: AdapterSource): void {
  try {
    adapterForEngine(config);
    resolveForEngine(spec, adapter);
  } catch (error) {
    if (!isHeirloomError(error) || error.code !== "ADAPTER_UNSUPPORTED") throw error;
    throw new HeirloomError(
      "ADAPTER_UNSUPPORTED",
      `the merged model cannot be compared with the adapter, which the engine does not run: ${error.message}`,
      {
        hint: "it can be merged all the same, without the comparison: --no-check",
        details: error.details,
        cause: error,
      },
    );
  }
}

/** The tokenizer of a folder; null without one, which takes away the probe's text. */
async function tokenizerOf(folder: string): Promise<Tokenizer | null> {
  try {
    return await loadTokenizer(folder);
  } catch (error) {
    if (isHeirloomError(error) && error.code === "FILE_MISSING") return null;
    throw error;
  }
}

/**
 * Reads the merged model back and compares its logits with those of the adapter on the base that it was merged onto, and, of a
 * quantized base, the adapter on the original weights with it on the base as trained. Null if nothing is to be compared.
 *
 * @throws MERGE_MISMATCH
 */
export async function checkMerged(folder: string, merge: Merge, context: JobContext<ExportEvent>): Promise<MergeCheck | null> {
  const { runtime, base, original, adapter, plan, held, onto, dtype } = merge;
  if (runtime === null) return null;
  const { spec } = base.model;
  const rows = plan.recipes.flatMap((recipe) => recipe.rows?.indices ?? []);
  const ids = probeIds(spec, await tokenizerOf(folder), rows);
  const hasOriginal = original !== null || (held !== null && !isStoredIn4Bit(base.model));
  const total = hasOriginal ? 4 : 3;
  let done = 0;
  const step = async (logits: Promise<Float32Array>): Promise<Float32Array> => {
    const made = await logits;
    throwIfStopped(context.stopRequested);
    context.emit({ type: "export", phase: "comparing logits", done: ++done, total });
    return made;
  };
  const put = { spec: adapter.spec, tensors: adapter.tensors };
  const dense = { folder: original ?? base.model, held: null };
  const seen = { folder: base.model, held };
  const at = onto === "original" && hasOriginal ? dense : seen;
  const reference = await step(probeLogits(runtime, at.folder, at.held, put, ids));
  const plain = await step(probeLogits(runtime, at.folder, at.held, null, ids));
  const effect = compareLogits(reference, plain, spec.vocabSize);
  const merged = compareLogits(reference, await step(mergedLogits(runtime, folder, ids)), spec.vocabSize);
  const bound = logitBound(reference, spec, dtype);
  if (!(merged.rms <= bound)) throw mismatch(merge, { merged, effect, bound });
  let onOriginal: MergeCheck["onOriginal"] = null;
  if (hasOriginal) {
    const other = at === dense ? seen : dense;
    const second = await step(probeLogits(runtime, other.folder, other.held, put, ids));
    onOriginal = at === dense ? compareLogits(second, reference, spec.vocabSize) : compareLogits(reference, second, spec.vocabSize);
  }
  return { tokens: ids.length, merged, bound, effect, onOriginal };
}

async function mergedLogits(runtime: Runtime, path: string, ids: Int32Array): Promise<Float32Array> {
  const model = await openModelFolder(path);
  try {
    return await probeLogits(runtime, model, null, null, ids);
  } finally {
    await model.folder.close();
  }
}

function mismatch({ request, dtype }: Merge, found: Pick<MergeCheck, "merged" | "effect" | "bound">): HeirloomError {
  const { merged, effect, bound } = found;
  const figure = (value: number): string => value.toPrecision(3);
  return new HeirloomError(
    "MERGE_MISMATCH",
    `expected the merged model's logits within ${figure(bound)} of the adapter's (root mean square; what ${dtype} explains), found ${figure(merged.rms)} (largest ${figure(merged.maxAbs)}; the adapter's own effect is ${figure(effect.rms)})`,
    {
      where: request.output,
      hint: "nothing was written; please report it with the adapter's configuration, and merge with --dtype fp32 to see whether rounding is the cause",
      details: { ...found },
    },
  );
}
