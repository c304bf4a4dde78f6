// Merging, through the package's door: the merged folder is read back as a base of its own.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { MicroBatch } from "../../src/data/index.ts";
import { type MergeRequest, mergeAdapter } from "../../src/export/index.ts";
import { readMergeRecord } from "../../src/runs/index.ts";
import type { Measure } from "./check.ts";
import { largest, relativeDifference, sameSet } from "./compare.ts";
import { floats, readTensors } from "./files.ts";
import { logitsMeasure } from "./logits.ts";
import { loadBase, withModel } from "./scene.ts";
import { TOLERANCES } from "./tolerances.ts";

/** What a merge is held against. */
export interface MergeCase {
  readonly adapter: string;
  readonly base: string;
  readonly heldAs?: MergeRequest["heldAs"];
  /** Logits that the merged model is to give, and the tokens. */
  readonly batch: MicroBatch;
  readonly logits: Float32Array;
  /** A file with tensors of the merged model, and whether they are all of them. */
  readonly stored?: { readonly file: string; readonly whole: boolean };
}

/** Merges in fp32 and compares logits, and tensors where the vectors have them. */
export async function mergeMeasures({ adapter, base, heldAs, batch, logits, stored }: MergeCase): Promise<Measure[]> {
  const scratch = mkdtempSync(join(tmpdir(), "heirloom-merge-"));
  try {
    const output = join(scratch, "merged");
    // Not compared by the merge itself: adapters that the engine does not run are in the vectors as well.
    const request = { path: adapter, base, output, dtype: "fp32", check: false, ...(heldAs === undefined ? {} : { heldAs }) } as const;
    const { tie } = await mergeAdapter(request, { inline: true });
    const measures = await withModel(await loadBase(output), null, async ({ model }) => [
      await logitsMeasure(`merged model${tie.before ? (tie.after ? ", still tied" : ", untied") : ""}`, model, batch, logits),
    ]);
    await readMergeRecord(output);
    return stored === undefined ? measures : [...measures, ...(await tensorMeasures(output, stored))];
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** The merged tensors against those that PEFT made. */
async function tensorMeasures(output: string, stored: NonNullable<MergeCase["stored"]>): Promise<Measure[]> {
  const [got, want] = [await readTensors(output, "model.safetensors"), await readTensors(stored.file)];
  const errors: [string, number][] = [];
  for (const name of want.tensors.keys()) errors.push([name, relativeDifference(await floats(want, name), await floats(got, name))]);
  const values = largest("merged tensors, share of the largest value", TOLERANCES.merged, errors);
  return stored.whole ? [sameSet("names of the merged tensors", [...want.tensors.keys()], [...got.tensors.keys()]), values] : [values];
}
