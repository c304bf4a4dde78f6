import { type ByteSource, HeirloomError, isHeirloomError, ProblemList } from "../core/index.ts";
import { parseJson, readJsonText } from "./json.ts";
import { plainObject, skipSpaces } from "./plain-json.ts";
import { describeValue, printable } from "./printable.ts";
import { openSafetensors, type StoredTensor, type TensorFile, tensorFile } from "./tensor-file.ts";
import { openTorchTensors } from "./torch-file.ts";

/** Largest real index: 138,240 tensors (see safetensors-header.ts); four times that. */
const MAX_INDEX_TENSORS = 500_000;
/** Largest real set has 281 shards; the product's own goal is 1,000. */
const MAX_SHARDS = 4_096;
/** Headers read at a time: hides latency, and stays far from a process's limit of open files. */
const PARALLEL_HEADERS = 16;
/** How many faults of one index a message lists. */
const MAX_PROBLEMS = 20;

/** How the files of a sharded set are read. */
interface ShardForm {
  readonly suffix: string;
  readonly open: (source: ByteSource) => Promise<TensorFile>;
}

const SAFETENSORS: ShardForm = { suffix: ".safetensors", open: openSafetensors };
const TORCH: ShardForm = { suffix: ".bin", open: openTorchTensors };

/** Why `file` may not be opened beside an index, or `undefined`. */
function refuseName(file: string, suffix: string): string | undefined {
  if (printable(file, Number.MAX_SAFE_INTEGER) !== file) return "it has control characters";
  const escapes = file.startsWith("/") || file.includes("\\") || /^[A-Za-z]:/.test(file);
  if (escapes || file.split("/").some((part) => part === "" || part === "." || part === ".."))
    return "it does not lie in the folder of the index";
  if (!file.endsWith(suffix)) return `it is not a ${suffix} file`;
  return undefined;
}

const WEIGHT_MAP = '"weight_map"';

/**
 * The pairs of `weight_map` straight from the text, where it is written plainly; null where only the careful reader can
 * tell what there is. What is around the map has to be JSON with an array in the map's place: then it lay where it should.
 */
function plainWeightMap(text: string, where: string): ReadonlyMap<string, string> | null {
  const key = text.indexOf(WEIGHT_MAP);
  const colon = skipSpaces(text, key + WEIGHT_MAP.length);
  // Without a backslash a key is spelled in one way only.
  if (key < 0 || text[colon] !== ":" || text.includes("\\")) return null;
  const start = skipSpaces(text, colon + 1);
  const map = plainObject(text, start, MAX_INDEX_TENSORS);
  if (map === null || text.includes(WEIGHT_MAP, map.end)) return null;
  const around = parseJson(`${text.slice(0, start)}[]${text.slice(map.end)}`, where, { duplicateKeys: "refuse" });
  return typeof around === "object" && around !== null && "weight_map" in around ? map.pairs : null;
}

/** The same by parsing the whole; says what is wrong with it. */
function parsedWeightMap(text: string, name: string): ReadonlyMap<string, unknown> {
  const json = parseJson(text, name, { duplicateKeys: "refuse" });
  const map = typeof json === "object" && json !== null && "weight_map" in json ? json.weight_map : undefined;
  if (typeof map !== "object" || map === null || Array.isArray(map)) {
    throw new HeirloomError("SHARD_INDEX_INVALID", `expected an object "weight_map", found ${describeValue(map)}`, {
      where: printable(name),
    });
  }
  return new Map(Object.entries(map));
}

/** `weight_map` of an index's text: what is faulty around a plain one, the careful reader reports by line and column. */
function weightMapOf(text: string, name: string): ReadonlyMap<string, unknown> {
  try {
    const plain = plainWeightMap(text, name);
    if (plain !== null) return plain;
  } catch (error) {
    if (!isHeirloomError(error)) throw error;
  }
  return parsedWeightMap(text, name);
}

/** Reads `weight_map` (tensor name → shard file) with every name checked. */
async function readWeightMap(index: ByteSource, suffix: string): Promise<ReadonlyMap<string, string>> {
  const where = printable(index.name);
  const map = weightMapOf(await readJsonText(index), index.name);
  if (map.size === 0 || map.size > MAX_INDEX_TENSORS) {
    throw new HeirloomError("SHARD_INDEX_INVALID", `expected 1 to ${MAX_INDEX_TENSORS} tensors in "weight_map", found ${map.size}`, {
      where,
    });
  }
  const problems = new ProblemList();
  const accepted = new Set<unknown>();
  for (const [name, file] of map) {
    if (accepted.has(file)) continue;
    const fault = typeof file === "string" ? refuseName(file, suffix) : "it is not a text";
    if (fault === undefined) accepted.add(file);
    else if (problems.problems.length < MAX_PROBLEMS) {
      problems.add("SHARD_INDEX_INVALID", `${printable(name)}: the shard ${describeValue(file)} is refused: ${fault}`, { where });
    }
  }
  problems.throwIfAny();
  if (accepted.size > MAX_SHARDS) {
    throw new HeirloomError("SHARD_INDEX_INVALID", `expected at most ${MAX_SHARDS} shards, found ${accepted.size}`, { where });
  }
  return map as ReadonlyMap<string, string>; // every value was looked at, and is a text
}

interface Shard {
  readonly file: string;
  readonly content: TensorFile;
}

/** Opens all shards, a few at a time; what is wrong with any of them is thrown once. */
async function openAll(files: readonly string[], openByName: (file: string) => Promise<ByteSource>, form: ShardForm): Promise<Shard[]> {
  const problems = new ProblemList();
  const shards = new Map<string, Shard>();
  let next = 0;
  const work = async (): Promise<void> => {
    for (let file = files[next++]; file !== undefined; file = files[next++]) {
      try {
        shards.set(file, { file, content: await form.open(await openByName(file)) });
      } catch (error) {
        problems.absorb(error);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(PARALLEL_HEADERS, files.length) }, work));
  problems.throwIfAny();
  return files.map((file) => shards.get(file) as Shard);
}

/** Gathers the tensors of all shards and holds them against the index. */
function gather(shards: readonly Shard[], weightMap: ReadonlyMap<string, string>, where: string): Map<string, StoredTensor> {
  const problems = new ProblemList();
  const hint = "download the index and all its shards again, from one revision";
  const report = (message: string): void => {
    if (problems.problems.length < MAX_PROBLEMS) problems.add("SHARD_INDEX_INVALID", message, { where, hint });
  };
  const tensors = new Map<string, StoredTensor>();
  const elsewhere = new Map<string, string>();
  for (const { file, content } of shards) {
    for (const tensor of content.tensors.values()) {
      const { name } = tensor;
      const listed = weightMap.get(name);
      if (listed === file) tensors.set(name, tensor);
      else if (listed === undefined) report(`${printable(name)}: ${file} holds it, the index does not list it`);
      else elsewhere.set(name, file);
    }
  }
  for (const [name, file] of elsewhere) {
    if (tensors.has(name)) report(`${printable(name)}: two shards hold it, ${weightMap.get(name)} and ${file}`);
  }
  if (tensors.size < weightMap.size) {
    for (const [name, file] of weightMap) {
      if (!tensors.has(name)) report(`${printable(name)}: the index says that it is in ${file}, found ${elsewhere.get(name) ?? "nowhere"}`);
    }
  }
  problems.throwIfAny();
  return tensors;
}

async function openSet(index: ByteSource, openByName: (file: string) => Promise<ByteSource>, form: ShardForm): Promise<TensorFile> {
  const weightMap = await readWeightMap(index, form.suffix);
  const shards = await openAll([...new Set(weightMap.values())].sort(), openByName, form);
  const tensors = gather(shards, weightMap, printable(index.name));
  return tensorFile(index.name, tensors, shards[0]?.content.metadata ?? {});
}

/**
 * Opens a sharded set by its `model.safetensors.index.json`. Index and shards
 * must agree on every tensor. Shard names that lead out of the folder are
 * refused before anything is opened.
 *
 * @param openByName opens a shard by its name relative to the index
 * @throws HeirloomError `SHARD_INDEX_INVALID`, `JSON_INVALID`, `LFS_POINTER`, and what opening a shard throws
 */
export function openShards(index: ByteSource, openByName: (file: string) => Promise<ByteSource>): Promise<TensorFile> {
  return openSet(index, openByName, SAFETENSORS);
}

/** {@link openShards} for the older `pytorch_model.bin.index.json`, whose shards are torch state dicts. */
export function openTorchShards(index: ByteSource, openByName: (file: string) => Promise<ByteSource>): Promise<TensorFile> {
  return openSet(index, openByName, TORCH);
}
