// peft-banners: what PEFT prints, names, scales and saves for varied LoRA configurations, and the
// logits with the adapter.
import { join } from "node:path";
import { adapterTensors, resolveTargets } from "../../../src/adapter/index.ts";
import { ledgerCounts, peftBanners } from "../../../src/ledger/index.ts";
import type { Check, Finding, Measure } from "../check.ts";
import { sameList } from "../compare.ts";
import { floats, foldersIn, has, readBatch, readJsonFile, readTensors } from "../files.ts";
import { adapterLedger, baseLedger, line, lines, predicted, trainableLines } from "../ledgers.ts";
import { logitsMeasure } from "../logits.ts";
import { mergeMeasures } from "../merge.ts";
import { LOAD_IN_4BIT, loadAdapter, loadBase, readSpec, withModel } from "../scene.ts";

interface Record_ {
  readonly base: string;
  readonly load_in_4bit: boolean;
  readonly fresh: string;
  readonly reload_trainable: string;
  readonly reload_frozen: string;
  readonly trainable: Readonly<Record<string, readonly number[]>>;
  readonly scaling: Readonly<Record<string, number>>;
  readonly saved: Readonly<Record<string, { readonly shape: readonly number[] }>>;
}

/** The checks of `peft-banners/`: folders with a record are cases, the others bases. */
export function bannerChecks(folder: string): Promise<Check[]> {
  const checks = foldersIn(folder).flatMap((name): Check[] => {
    const own = join(folder, name);
    if (!has(own, "record.json")) return [{ case: name, kind: "ledger", run: () => baseLedger(own) }];
    const ledger: Check = { case: name, kind: "ledger", run: () => banners(folder, name) };
    if (!has(own, "adapter/adapter_model.safetensors")) return [];
    if (!has(own, "logits.safetensors")) return [ledger];
    return [
      ledger,
      { case: name, kind: "logits", run: () => logits(folder, name) },
      { case: name, kind: "merge", run: () => merged(folder, name) },
    ];
  });
  return Promise.resolve(checks);
}

async function banners(folder: string, name: string): Promise<Finding> {
  const record = await readJsonFile<Record_>(folder, name, "record.json");
  const spec = await readSpec(join(folder, record.base));
  const adapter = await loadAdapter(join(folder, name, "adapter"));
  const quantization = record.load_in_4bit ? LOAD_IN_4BIT : null;
  const resolved = resolveTargets(spec, adapter.spec);
  const ledger = predicted(spec, adapter, quantization);
  const { fresh, reloadedTrainable, reloadedFrozen } = peftBanners(ledgerCounts(ledger));
  const scalings = (entries: Iterable<readonly [string, number]>): string[] =>
    Array.from(entries, ([module, scaling]) => `${module} × ${scaling}`);
  return [
    sameList(
      "banner: fresh, reloaded trainable, reloaded frozen",
      [record.fresh, record.reload_trainable, record.reload_frozen],
      [fresh, reloadedTrainable, reloadedFrozen],
    ),
    sameList("trainable tensors", lines(record.trainable), trainableLines(ledger)),
    sameList(
      "scaling",
      scalings(Object.entries(record.scaling)),
      scalings(resolved.lora.map(({ module, scaling }) => [module, scaling] as const)),
    ),
    sameList(
      "saved tensors",
      Object.entries(record.saved)
        .map(([key, { shape }]) => line(key, shape))
        .sort(),
      adapterTensors(resolved)
        .map((tensor) => line(tensor.name, tensor.shape))
        .sort(),
    ),
    ...adapterLedger(spec, adapter, quantization),
  ];
}

async function logits(folder: string, name: string): Promise<Measure[]> {
  const record = await readJsonFile<Record_>(folder, name, "record.json");
  const adapter = await loadAdapter(join(folder, name, "adapter"));
  const base = await loadBase(join(folder, record.base), record.load_in_4bit ? LOAD_IN_4BIT : null);
  const file = await readTensors(folder, name, "logits.safetensors");
  const batch = await readBatch(file);
  const measures: Measure[] = [];
  for (const [what, put] of [
    ["base", null],
    ["adapter", adapter],
  ] as const) {
    const want = await floats(file, what);
    await withModel(base, put, async ({ model }) => {
      measures.push(await logitsMeasure(what, model, batch, want));
    });
  }
  return measures;
}

/**
 * Held against the adapter's own logits, not against what PEFT's merge gave: that quantizes a 4-bit base again, and changes
 * the head along with a tied embedding, by more than 1 in each case (`merged_max_logit_diff` in the records).
 */
async function merged(folder: string, name: string): Promise<Measure[]> {
  const record = await readJsonFile<Record_>(folder, name, "record.json");
  const file = await readTensors(folder, name, "logits.safetensors");
  return mergeMeasures({
    adapter: join(folder, name, "adapter"),
    base: join(folder, record.base),
    ...(record.load_in_4bit ? { heldAs: "nf4-double" as const } : {}),
    batch: await readBatch(file),
    logits: await floats(file, "adapter"),
  });
}
