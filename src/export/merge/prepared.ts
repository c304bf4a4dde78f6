import { loadRuntime, type Runtime } from "../../compute/index.ts";
import { HeirloomError } from "../../core/index.ts";
import { type ModelFolder, openModelFolder } from "../../folders/index.ts";
import { type AdapterSource, type BaseSource, openAdapterSource, openBaseOf } from "../adapter-source.ts";
import { readCarriedText } from "../carried-files.ts";
import { dtypeKey, editConfigText } from "../model-config.ts";
import { refuseExisting } from "../output.ts";
import type { HeldAs } from "../tensor-rows.ts";
import type { MergeDtype, MergeRequest, MergeTarget } from "./api.ts";
import { type MergePlan, planMerge } from "./plan.ts";
import { whyNotRun } from "./runnable.ts";
import { sameStoredValues } from "./same-values.ts";
import { baseDtype, heldAs, requireOriginal } from "./settings.ts";
import { DTYPE_NAMES, type MergeSources } from "./write-merged.ts";

/** A merge whose inputs are open and whose choices are made. */
export interface Merge {
  readonly request: MergeRequest;
  readonly adapter: AdapterSource;
  readonly base: BaseSource;
  readonly original: ModelFolder | null;
  readonly plan: MergePlan;
  readonly held: HeldAs;
  readonly onto: MergeTarget;
  readonly dtype: MergeDtype;
  /** Null if no logits are to be compared. */
  readonly runtime: Runtime | null;
  /** Why the engine does not run the adapter, where weights are compared in place of logits; null otherwise. */
  readonly notRun: string | null;
}

/**
 * Opens everything that a merge needs; nothing is written yet.
 *
 * @param opened what the caller closes in the end, also if this throws
 */
export async function prepareMerge(request: MergeRequest, opened: { close(): Promise<void> }[]): Promise<Merge> {
  await refuseExisting(request.output);
  const adapter = await openAdapterSource(request.path);
  opened.push(adapter.folder);
  const base = await openBaseOf(adapter, request.base);
  opened.push(base.model.folder);
  const original = request.original === undefined ? null : await openModelFolder(request.original);
  if (original !== null) opened.push(original.folder);
  const { spec } = base.model;
  const notRun = request.check === false ? null : whyNotRun(spec, adapter);
  // A missing peer is to be told before gigabytes are read.
  const runtime = request.check === false || notRun !== null ? null : await loadRuntime().catch(refuseUnchecked);
  const plan = await planMerge(spec, adapter.spec, adapter.tensors, (a, b) => sameStoredValues(adapter.tensors, a, b));
  const onto = request.onto ?? "trained";
  const held = heldAs(request, adapter, base.model);
  requireOriginal(onto, base.model, original);
  return { request, adapter, base, original, plan, held, onto, dtype: request.dtype ?? baseDtype(base.model), runtime, notRun };
}

/** Without the runtime nothing can be compared; going on all the same is the user's choice. */
function refuseUnchecked(error: unknown): never {
  if (!(error instanceof HeirloomError) || error.code !== "PEER_MISSING") throw error;
  throw new HeirloomError("PEER_MISSING", `the merged model cannot be compared with the adapter: ${error.message}`, {
    hint: `${error.hint ?? "install onnxruntime-node"}; or merge without the comparison: --no-check`,
    cause: error,
  });
}

/** Where the merged values come from. */
export function sourcesOf({ base, original, adapter, held, onto, dtype }: Merge): MergeSources {
  return { base: base.model.tensors, original: original?.tensors ?? null, adapter: adapter.tensors, held, onto, dtype };
}

/** Text of the merged model's config.json. @throws FILE_UNREADABLE for a link that leads out of the base's folder */
export async function mergedConfig({ base, plan, dtype }: Merge): Promise<string> {
  const { folder, spec } = base.model;
  return editConfigText(await readCarriedText(folder, "config.json"), folder.name, {
    [dtypeKey(spec.raw)]: DTYPE_NAMES[dtype].torch,
    tie_word_embeddings: plan.tie.after,
    quantization_config: undefined,
  });
}
