import { stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { type Folder, HeirloomError } from "../../core/index.ts";
import { defineJob, type JobContext, openFolder, writeFileAtomic } from "../../core/node/index.ts";
import { loadTokenizer, type Tokenizer } from "../../data/index.ts";
import { basePathOf, fileIn, locateModel, type ModelFolder, openModelFolder, readModelSpec } from "../../folders/index.ts";
import { encodeGguf, type GgufMetadata, type GgufToWrite, type GgufValue, parseJson } from "../../formats/index.ts";
import { parseModelConfig } from "../../model/index.ts";
import { openAdapterSource } from "../adapter-source.ts";
import { tokenizerFolderOf } from "../carried-files.ts";
import {
  checkMerged,
  checkWeights,
  type ExportEvent,
  mergedConfig,
  mergedTensorFile,
  notesOn,
  prepareMerge,
  sourcesOf,
} from "../merge/index.ts";
import { NEW_OUTPUT, refuseExisting, throwIfStopped } from "../output.ts";
import type { GgufRequest, GgufResult } from "./api.ts";
import { readEndTokens } from "./end-tokens.ts";
import { loraTensors } from "./lora-tensors.ts";
import { familyOf, modelMetadata } from "./model-metadata.ts";
import { modelTensors } from "./model-tensors.ts";
import { tokenizerMetadata } from "./tokenizer-metadata.ts";

type Context = JobContext<ExportEvent>;

/** What was written, without what the request says. */
type Written = Pick<GgufResult, "architecture" | "tensors" | "bytes" | "types" | "tokenizerModel" | "preTokenizer" | "notes">;

async function write(
  output: string,
  metadata: GgufMetadata,
  tensors: readonly GgufToWrite[],
  context: Context,
): Promise<Pick<Written, "tensors" | "bytes" | "types">> {
  const stoppable = tensors.map((tensor) => ({
    ...tensor,
    async *chunks() {
      throwIfStopped(context.stopRequested);
      yield* tensor.chunks();
      throwIfStopped(context.stopRequested);
    },
  }));
  await writeFileAtomic(output, encodeGguf(metadata, stoppable), NEW_OUTPUT);
  const types: Record<string, number> = {};
  for (const { type } of tensors) types[type] = (types[type] ?? 0) + 1;
  return { tensors: tensors.length, bytes: (await stat(output)).size, types };
}

/** Counts tensors and tells of each. */
function teller(context: Context, phase: string, total: number): () => void {
  let done = 0;
  return () => context.emit({ type: "export", phase, done: ++done, total });
}

/** Its text, chat template included, goes into the file: a link that leads out of the folder is refused. */
async function carriedTokenizer(path: string): Promise<Tokenizer> {
  const folder = await openFolder(path);
  try {
    return await loadTokenizer(folder);
  } finally {
    await folder.close();
  }
}

/** A model to be written: its tensors need not lie in a folder. */
interface ModelSource extends Pick<ModelFolder, "spec" | "tensors"> {
  /** Where the configuration is from, for messages. */
  readonly where: string;
  readonly tokenizerFolder: string;
  /** What says which tokens end an answer. */
  readonly folder: Folder;
}

async function writeModel(model: ModelSource, request: GgufRequest, context: Context): Promise<Written> {
  const { spec, tensors: file, where, tokenizerFolder, folder } = model;
  const type = request.type ?? "f16";
  const family = familyOf(spec, where);
  const ends = await readEndTokens(folder, spec);
  const from = join(tokenizerFolder, "tokenizer.json");
  const tokenizer = tokenizerMetadata(await carriedTokenizer(tokenizerFolder), spec.vocabSize, ends, from);
  const title = titleOf(request.path);
  const metadata = new Map<string, GgufValue>([...modelMetadata(spec, family, title, type), ...tokenizer.metadata]);
  const tensors = modelTensors(file, spec, family, type, teller(context, "writing", file.tensors.size));
  const written = await write(request.output, metadata, tensors, context);
  const notes =
    type === "q8_0" && (written.types["F16"] ?? 0) > 0 ? ["matrices whose rows are no whole blocks of 32 are written in fp16"] : [];
  const { kind, pre } = tokenizer;
  return { architecture: family.name, ...written, tokenizerModel: kind, preTokenizer: pre, notes: [...tokenizer.notes, ...notes] };
}

async function writeFolder(folder: string, request: GgufRequest, context: Context): Promise<Written> {
  const model = await openModelFolder(folder);
  try {
    return await writeModel({ ...model, where: folder, tokenizerFolder: folder }, request, context);
  } finally {
    await model.folder.close();
  }
}

/** Merges rows as they are written: in fp32, so that values are rounded once. The comparison goes before, on the same values. */
async function writeMerged(request: GgufRequest, context: Context): Promise<Written> {
  const { path, output, base, original, onto, heldAs, check } = request;
  const given = Object.fromEntries(Object.entries({ base, original, onto, heldAs, check }).filter(([, value]) => value !== undefined));
  const opened: { close(): Promise<void> }[] = [];
  try {
    const merge = await prepareMerge({ path, output, dtype: "fp32", ...given }, opened);
    const { folder: baseFolder } = merge.base.model;
    const where = fileIn(baseFolder.name, "config.json");
    const spec = parseModelConfig(parseJson(await mergedConfig(merge), where), where);
    const tensors = mergedTensorFile(path, sourcesOf(merge), merge.plan.recipes);
    const tokenizerFolder = (await tokenizerFolderOf(baseFolder, merge.adapter.folder)).name;
    familyOf(spec, baseFolder.name); // what GGUF cannot hold is told before it is compared
    if (merge.notRun !== null) await checkWeights(tensors, merge, context);
    await checkMerged({ folder: baseFolder, spec, tensors }, tokenizerFolder, merge, context);
    const written = await writeModel({ spec, tensors, folder: baseFolder, where: baseFolder.name, tokenizerFolder }, request, context);
    return { ...written, notes: [...notesOn(merge, tokenizerFolder), ...written.notes] };
  } finally {
    await Promise.all(opened.map((folder) => folder.close()));
  }
}

async function writeLora(request: GgufRequest, context: Context): Promise<Written> {
  const adapter = await openAdapterSource(request.path);
  try {
    const named = basePathOf(adapter, request.base);
    const spec = await readModelSpec(named);
    const family = familyOf(spec, named);
    const lora = loraTensors(spec, adapter.spec, family, adapter.tensors, teller(context, "writing", adapter.tensors.tensors.size / 2));
    const metadata = new Map<string, GgufValue>([
      ["general.architecture", { type: "STRING", value: family.name }],
      ["general.type", { type: "STRING", value: "adapter" }],
      ["general.name", { type: "STRING", value: titleOf(request.path) }],
      ["adapter.type", { type: "STRING", value: "lora" }],
      ["adapter.lora.alpha", { type: "FLOAT32", value: lora.alpha }],
    ]);
    const written = await write(request.output, metadata, lora.tensors, context);
    const quantized = adapter.record?.config.quantization ?? null;
    const notes = [
      ...(lora.folded > 0 ? [`the B of ${lora.folded} modules was multiplied, because they have a scaling of their own`] : []),
      ...(quantized === null
        ? []
        : [
            "the adapter was trained on its base in NF4; on a base in another form it computes something else: the merged model is what was trained",
          ]),
    ];
    return { architecture: family.name, ...written, tokenizerModel: null, preTokenizer: null, notes };
  } finally {
    await adapter.folder.close();
  }
}

/** `general.name`: what the folder is called. */
const titleOf = (path: string): string => basename(path);

/** What each kind of file is made from; of an adapter by itself even the type is given: fp32. */
const CHOICES_OF = {
  lora: { what: "an adapter by itself", takes: ["base"] },
  merged: { what: "a merged adapter", takes: ["type", "base", "original", "onto", "heldAs", "check"] },
  model: { what: "a model", takes: ["type"] },
} as const satisfies Record<string, { what: string; takes: readonly (keyof GgufRequest)[] }>;

/** Refuses what would be left out without a word. @throws USAGE naming all of it */
function refuseIdleChoices(request: GgufRequest, kind: keyof typeof CHOICES_OF): void {
  const { what, takes } = CHOICES_OF[kind];
  const flags = {
    type: "--type",
    base: "--base",
    original: "--original",
    onto: "--onto",
    heldAs: "--held-as",
    check: "--no-check",
  } as const;
  const given = (Object.keys(flags) as (keyof typeof flags)[]).filter((key) => request[key] !== undefined && request[key] !== true);
  const idle = given.filter((key) => !(takes as readonly string[]).includes(key)).map((key) => flags[key]);
  if (idle.length === 0) return;
  throw new HeirloomError("USAGE", `nothing of ${what} depends on ${idle.join(", ")}`, {
    hint: `leave ${idle.length === 1 ? "it" : "them"} out${kind === "lora" ? ", or --lora" : ""}`,
  });
}

/** Writes a GGUF file. */
export const ggufJob = defineJob<GgufRequest, ExportEvent, GgufResult>(import.meta.url, async (request, context) => {
  const began = performance.now();
  await refuseExisting(request.output);
  const located = await locateModel(request.path);
  const isLora = request.lora === true;
  refuseIdleChoices(request, isLora ? "lora" : located.kind === "adapter" ? "merged" : "model");
  const written = isLora
    ? await writeLora(request, context)
    : located.kind === "adapter"
      ? await writeMerged(request, context)
      : await writeFolder(located.path, request, context);
  return {
    output: request.output,
    source: request.path,
    kind: isLora ? "lora" : "model",
    ...written,
    seconds: (performance.now() - began) / 1000,
  };
});
