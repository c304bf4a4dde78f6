import { HeirloomError, isHeirloomError } from "../../core/index.ts";
import type { JobContext } from "../../core/node/index.ts";
import { loadTokenizer, type Tokenizer } from "../../data/index.ts";
import type { ModelFolder } from "../../folders/index.ts";
import { throwIfStopped } from "../output.ts";
import type { ExportEvent, MergeCheck } from "./api.ts";
import type { Merge } from "./prepared.ts";
import { compareLogits, logitBound, probeIds, probeLogits } from "./probe.ts";
import { isStoredIn4Bit } from "./settings.ts";

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
 * Compares the merged model's logits with those of the adapter on the base that it was merged onto, and, of a
 * quantized base, the adapter on the original weights with it on the base as trained. Null if nothing is to be compared.
 *
 * @param tokenizerFolder where the merged model's tokenizer lies
 * @throws MERGE_MISMATCH
 */
export async function checkMerged(
  model: ModelFolder,
  tokenizerFolder: string,
  merge: Merge,
  context: JobContext<ExportEvent>,
): Promise<MergeCheck | null> {
  const { runtime, base, original, adapter, plan, held, onto, dtype } = merge;
  if (runtime === null) return null;
  const { spec } = base.model;
  const rows = plan.recipes.flatMap((recipe) => recipe.rows?.indices ?? []);
  const ids = probeIds(spec, await tokenizerOf(tokenizerFolder), rows);
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
  const merged = compareLogits(reference, await step(probeLogits(runtime, model, null, null, ids)), spec.vocabSize);
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
