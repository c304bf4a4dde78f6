import { join } from "node:path";
import { loadRuntime } from "../../compute/index.ts";
import { HeirloomError } from "../../core/index.ts";
import { defineJob, type JobContext, writeFolderAtomic, writeTextAtomic } from "../../core/node/index.ts";
import { openModelFolder } from "../../folders/index.ts";
import { fingerprintModel, hashWeights, parentRecord, VERSION, writeMergeRecord } from "../../runs/index.ts";
import { openAdapterSource, openBaseOf } from "../adapter-source.ts";
import { carryFiles, readCarriedText } from "../carried-files.ts";
import { dtypeKey, editConfigText } from "../model-config.ts";
import { NEW_OUTPUT, refuseExisting, throwIfStopped } from "../output.ts";
import { writeModelShards } from "../shards.ts";
import type { ExportEvent, MergeCheck, MergeRequest, MergeResult } from "./api.ts";
import { checkMerged, requireRunnable } from "./check.ts";
import { type MergePlan, planMerge } from "./plan.ts";
import type { Merge } from "./prepared.ts";
import { sameStoredValues } from "./same-values.ts";
import { baseDtype, heldAs, notesOn, requireOriginal } from "./settings.ts";
import { DTYPE_NAMES, MergedTensors, type MergeSources } from "./write-merged.ts";

type Context = JobContext<ExportEvent>;

/** Opens everything that a merge needs; nothing is written yet. */
async function prepare(request: MergeRequest, opened: { close(): Promise<void> }[]): Promise<Merge> {
  await refuseExisting(request.output);
  // A missing peer is to be told before gigabytes are read.
  const runtime = request.check === false ? null : await loadRuntime().catch(refuseUnchecked);
  const adapter = await openAdapterSource(request.path);
  opened.push(adapter.folder);
  const base = await openBaseOf(adapter, request.base);
  opened.push(base.model.folder);
  const original = request.original === undefined ? null : await openModelFolder(request.original);
  if (original !== null) opened.push(original.folder);
  const { spec } = base.model;
  const plan = await planMerge(spec, adapter.spec, adapter.tensors, (a, b) => sameStoredValues(adapter.tensors, a, b));
  if (runtime !== null) requireRunnable(spec, adapter);
  const onto = request.onto ?? "trained";
  const held = heldAs(request, adapter, base.model);
  requireOriginal(onto, base.model, original);
  return { request, adapter, base, original, plan, held, onto, dtype: request.dtype ?? baseDtype(base.model), runtime };
}

/** Without the runtime nothing can be compared; going on all the same is the user's choice. */
function refuseUnchecked(error: unknown): never {
  if (!(error instanceof HeirloomError) || error.code !== "PEER_MISSING") throw error;
  throw new HeirloomError("PEER_MISSING", `the merged model cannot be compared with the adapter: ${error.message}`, {
    hint: `${error.hint ?? "install onnxruntime-node"}; or merge without the comparison: --no-check`,
    cause: error,
  });
}

/** Writes weights, configuration and what lies beside them into a folder. */
async function writeModel(folder: string, merge: Merge, context: Context) {
  const { plan, base, adapter, original, held, onto, dtype, request } = merge;
  const sources: MergeSources = {
    base: base.model.tensors,
    original: original?.tensors ?? null,
    adapter: adapter.tensors,
    held,
    onto,
    dtype,
  };
  const { folder: baseFolder, spec } = base.model;
  // What is refused here is so before gigabytes are written.
  const text = await readCarriedText(baseFolder, "config.json");
  const carried = await carryFiles(baseFolder, adapter.folder, folder);
  const total = plan.recipes.length;
  let done = 0;
  const merged = new MergedTensors(
    sources,
    () => throwIfStopped(context.stopRequested),
    () => context.emit({ type: "export", phase: "merging", done: ++done, total }),
  );
  const written = await writeModelShards(folder, merged.plan(plan.recipes), request.maxShardBytes);
  const changes = {
    [dtypeKey(spec.raw)]: DTYPE_NAMES[dtype].torch,
    tie_word_embeddings: plan.tie.after,
    quantization_config: undefined,
  };
  await writeTextAtomic(join(folder, "config.json"), editConfigText(text, baseFolder.name, changes));
  return { merged, written, carried };
}

/** The record that joins the merged model to the lineage. */
async function writeRecord(folder: string, merge: Merge, check: MergeCheck | null): Promise<void> {
  const { adapter, base, original, onto, dtype, held, plan } = merge;
  const opened = await openModelFolder(folder);
  try {
    await writeMergeRecord(folder, {
      createdAt: new Date().toISOString(),
      version: VERSION,
      base: { path: base.model.folder.name, fingerprint: base.fingerprint },
      original: original === null ? null : { path: original.folder.name, fingerprint: await fingerprintModel(original.folder) },
      adapter: await parentRecord(adapter.folder, adapter.record),
      onto,
      dtype,
      quantization: held === null ? null : { type: "nf4", doubleQuant: held.doubleQuant },
      tie: plan.tie,
      check,
      files: await hashWeights(opened.folder),
    });
  } finally {
    await opened.folder.close();
  }
}

async function runMerge(merge: Merge, context: Context): Promise<MergeResult> {
  const began = performance.now();
  const { request, plan, adapter, base, onto, dtype } = merge;
  let result: MergeResult | undefined;
  await writeFolderAtomic(
    request.output,
    async (folder) => {
      const { merged, written, carried } = await writeModel(folder, merge, context);
      const check = await checkMerged(folder, merge, context);
      await writeRecord(folder, merge, check);
      throwIfStopped(context.stopRequested);
      const groups = merged.difference.groups;
      const isChanged = ({ from, lora, rows, loraBias }: MergePlan["recipes"][number]): boolean =>
        "copy" in from || lora !== null || rows !== null || loraBias !== null;
      result = {
        output: request.output,
        adapter: adapter.folder.name,
        base: base.model.folder.name,
        onto,
        dtype,
        tie: plan.tie,
        tensors: plan.recipes.length,
        changed: plan.recipes.filter(isChanged).length,
        bytes: written.bytes,
        files: [...written.files, "config.json", ...carried.files],
        rounding: merged.rounding.rounding,
        difference: groups.length === 0 ? null : groups,
        check,
        notes: notesOn(merge, carried.tokenizer),
        seconds: (performance.now() - began) / 1000,
      };
    },
    NEW_OUTPUT,
  );
  return result as MergeResult;
}

/** Merges an adapter into its base. */
export const mergeJob = defineJob<MergeRequest, ExportEvent, MergeResult>(import.meta.url, async (request, context) => {
  const opened: { close(): Promise<void> }[] = [];
  try {
    return await runMerge(await prepare(request, opened), context);
  } finally {
    await Promise.all(opened.map((folder) => folder.close()));
  }
});
