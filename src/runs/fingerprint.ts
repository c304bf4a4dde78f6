import { createHash } from "node:crypto";
import type { Folder } from "../core/index.ts";
import { hashRange } from "./hashes.ts";
import type { Fingerprint } from "./record.ts";

/** Up to this many bytes of weights are hashed whole: about two seconds. */
const WHOLE_LIMIT = 1024 ** 3;
/** Samples per file beyond that, and the size of each. */
const SAMPLES = 256;
const SAMPLE_BYTES = 64 * 1024;

function isPartOfModel(name: string): boolean {
  return name === "config.json" || name.endsWith(".safetensors") || name === "model.safetensors.index.json";
}

/**
 * Identifies a model folder by its config and weights, not by its path or name.
 * Up to 1 GiB every byte counts; beyond, the first and last 64 KiB and 254
 * samples between them of each file, and the method says so.
 */
export async function fingerprintModel(folder: Folder): Promise<Fingerprint> {
  const names = (await folder.list()).filter(isPartOfModel);
  const sources = await Promise.all(names.map(async (name) => ({ name, source: await folder.open(name) })));
  const whole = sources.reduce((sum, { source }) => sum + source.size, 0) <= WHOLE_LIMIT;
  const hash = createHash("sha256");
  for (const { name, source } of sources) {
    hash.update(`${name}\0${source.size}\0`);
    if (whole || source.size <= SAMPLES * SAMPLE_BYTES) {
      await hashRange(hash, source, 0, source.size);
      continue;
    }
    for (let i = 0; i < SAMPLES; i++) {
      const start = Math.floor((i * (source.size - SAMPLE_BYTES)) / (SAMPLES - 1));
      await hashRange(hash, source, start, start + SAMPLE_BYTES);
    }
  }
  return { method: whole ? "sha256" : "sha256-sampled", value: hash.digest("hex") };
}
