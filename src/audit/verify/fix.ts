import { copyFile, mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { HeirloomError } from "../../core/index.ts";
import { writeError, writeFileAtomic, writeTextAtomic } from "../../core/node/index.ts";
import { encodeSafetensors, type LoraPeftConfig, printable, type TensorFile } from "../../formats/index.ts";
import type { OpenedSubject } from "./subject.ts";
import { baseTensor } from "./trained-keys.ts";
import type { AuditSubject } from "./types.ts";

/** What a repair did. */
export interface FixReport {
  /** Where the repaired adapter lies; null if there was nothing to repair. */
  readonly folder: string | null;
  readonly changes: readonly string[];
}

/** 4 MiB of one tensor at a time, so that a file of any size needs little memory. */
const CHUNK_BYTES = 1 << 22;
const WEIGHTS = "adapter_model.safetensors";
const CONFIG = "adapter_config.json";
/** Written anew, or what they are made from. */
const REPLACED = /^adapter_(?:config\.json|model(?:[-.].*)?\.(?:safetensors|safetensors\.index\.json|bin))$/;

interface Renaming {
  /** New name → old name. */
  readonly names: ReadonlyMap<string, string>;
  readonly changes: readonly string[];
}

/** Weights of the base inside the adapter that the base given has too, bit for bit. */
async function redundantKeys({ keys, weights, base, baseWeights, values }: AuditSubject): Promise<ReadonlySet<string>> {
  const redundant = new Set<string>();
  if (baseWeights === null || values === null) return redundant;
  for (const key of keys) {
    if (key.part !== "base_layer") continue;
    const [stored, original] = [weights.tensors.get(key.key), baseTensor(baseWeights, base, key)];
    if (stored === undefined || original === undefined) continue;
    if ((await values.compare(stored, original))?.changed === 0) redundant.add(key.key);
  }
  return redundant;
}

async function planNames(subject: AuditSubject): Promise<Renaming> {
  const redundant = await redundantKeys(subject);
  const names = new Map<string, string>();
  let renamed = 0;
  for (const { key, proper } of subject.keys) {
    if (redundant.has(key)) continue;
    const taken = names.get(proper);
    if (taken !== undefined) {
      throw new HeirloomError("ADAPTER_UNSUPPORTED", `${printable(key)} and ${printable(taken)} would both be ${printable(proper)}`, {
        hint: "the file holds two adapters: save each by itself",
      });
    }
    names.set(proper, key);
    if (proper !== key) renamed++;
  }
  return {
    names,
    changes: [
      ...(renamed === 0 ? [] : [`${renamed} keys renamed to what PEFT reads`]),
      ...(redundant.size === 0 ? [] : [`${redundant.size} weights of the base taken out: the base has the same values`]),
    ],
  };
}

function withoutRepeats(value: unknown): unknown {
  return Array.isArray(value) ? [...new Set(value as unknown[])] : value;
}

/** The file's own keys, mended; none is added, since an older PEFT refuses keys that it does not know. */
function planConfig({ raw, unknownKeys }: LoraPeftConfig): { json: Record<string, unknown>; changes: string[] } {
  const json: Record<string, unknown> = { ...raw };
  const changes: string[] = [];
  for (const key of ["target_modules", "modules_to_save", "exclude_modules"]) {
    const list = json[key];
    if (!Array.isArray(list) || new Set(list).size === list.length) continue;
    json[key] = withoutRepeats(list);
    changes.push(`repeated names taken out of ${key}`);
  }
  for (const key of unknownKeys) {
    if (json[key] !== null && json[key] !== false) continue;
    delete json[key];
    changes.push(`${printable(key, 60)} taken out: no setting of PEFT's, and off`);
  }
  return { json, changes };
}

function renamedTensors(file: TensorFile, names: ReadonlyMap<string, string>) {
  return [...names].flatMap(([name, old]) => {
    const tensor = file.tensors.get(old);
    if (tensor === undefined) return [];
    const { dtype, shape, source, start, end } = tensor;
    const chunks = async function* () {
      for (let from = start; from < end; from += CHUNK_BYTES) yield source.read(from, Math.min(end, from + CHUNK_BYTES));
    };
    return [{ name, dtype, shape, chunks }];
  });
}

async function prepareFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true });
    if ((await readdir(folder)).length === 0) return;
  } catch (error) {
    throw writeError(error, folder);
  }
  throw new HeirloomError("OUTPUT_EXISTS", "expected a new or empty folder, found files in it", {
    where: folder,
    hint: "name another one with -o",
  });
}

/** Other files of the adapter (tokenizer, README …) go along; links and folders do not. */
async function copyOthers(from: string, to: string): Promise<void> {
  for (const entry of await readdir(from, { withFileTypes: true })) {
    if (!entry.isFile() || REPLACED.test(entry.name)) continue;
    try {
      await copyFile(join(from, entry.name), join(to, entry.name));
    } catch (error) {
      throw writeError(error, join(to, entry.name));
    }
  }
}

/**
 * Writes a repaired copy of an adapter: keys as PEFT reads them, weights that the
 * base has too taken out, repeated names and switched-off unknown keys out of the
 * configuration. No value changes.
 *
 * @throws ADAPTER_UNSUPPORTED, OUTPUT_EXISTS, WRITE_FAILED, DISK_FULL
 */
export async function fixAdapter({ subject, folder }: OpenedSubject, output: string): Promise<FixReport> {
  if (subject.lora === null) {
    throw new HeirloomError("ADAPTER_UNSUPPORTED", "only LoRA adapters are repaired, and this is none", { where: folder });
  }
  const renaming = await planNames(subject);
  const config = planConfig(subject.lora);
  const changes = [...renaming.changes, ...config.changes];
  if (changes.length === 0) return { folder: null, changes };
  await prepareFolder(output);
  await writeFileAtomic(
    join(output, WEIGHTS),
    encodeSafetensors(renamedTensors(subject.weights, renaming.names), subject.weights.metadata),
  );
  await writeTextAtomic(join(output, CONFIG), `${JSON.stringify(config.json, null, 2)}\n`);
  await copyOthers(folder, output);
  return { folder: output, changes };
}
