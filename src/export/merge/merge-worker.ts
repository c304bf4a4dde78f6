import { join } from "node:path";
import { defineJob, type JobContext, writeFolderAtomic, writeTextAtomic } from "../../core/node/index.ts";
import { openModelFolder } from "../../folders/index.ts";
import { fingerprintModel, hashWeights, parentRecord, VERSION, writeMergeRecord } from "../../runs/index.ts";
import { carryFiles } from "../carried-files.ts";
import { NEW_OUTPUT, throwIfStopped } from "../output.ts";
import { writeModelShards } from "../shards.ts";
import type { ExportEvent, MergeRequest, MergeResult } from "./api.ts";
import { checkMerged } from "./check.ts";
import { checkWeights } from "./check-weights.ts";
import { notesOn } from "./notes.ts";
import type { MergePlan } from "./plan.ts";
import { type Merge, mergedConfig, prepareMerge, sourcesOf } from "./prepared.ts";
import { MergedTensors } from "./write-merged.ts";

type Context = JobContext<ExportEvent>;

/** Writes weights, configuration and what lies beside them into a folder. */
async function writeModel(folder: string, merge: Merge, context: Context) {
  const { plan, base, adapter, request } = merge;
  // What is refused here is so before gigabytes are written.
  const config = await mergedConfig(merge);
  const carried = await carryFiles(base.model.folder, adapter.folder, folder);
  const total = plan.recipes.length;
  let done = 0;
  const merged = new MergedTensors(
    sourcesOf(merge),
    () => throwIfStopped(context.stopRequested),
    () => context.emit({ type: "export", phase: "merging", done: ++done, total }),
  );
  const written = await writeModelShards(folder, merged.plan(plan.recipes), request.maxShardBytes);
  await writeTextAtomic(join(folder, "config.json"), config);
  return { merged, written, carried };
}

type Checks = Pick<MergeResult, "check" | "weightCheck">;

/** Reads the merged model back, and compares it. */
async function checkWritten(folder: string, merge: Merge, context: Context): Promise<Checks> {
  const model = await openModelFolder(folder);
  try {
    const weightCheck = merge.notRun === null ? null : await checkWeights(model.tensors, merge, context);
    return { check: await checkMerged(model, folder, merge, context), weightCheck };
  } finally {
    await model.folder.close();
  }
}

/** The record that joins the merged model to the lineage. */
async function writeRecord(folder: string, merge: Merge, { check, weightCheck }: Checks): Promise<void> {
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
      check: check ?? weightCheck,
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
      const checks = await checkWritten(folder, merge, context);
      await writeRecord(folder, merge, checks);
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
        ...checks,
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
    return await runMerge(await prepareMerge(request, opened), context);
  } finally {
    await Promise.all(opened.map((folder) => folder.close()));
  }
});
