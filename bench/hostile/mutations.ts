// Thousands of damaged folders in one process: random bytes changed, files cut short, pieces swapped; each looked at and judged.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspectPath, verifyPath } from "../../src/audit/index.ts";
import { InternalError, isHeirloomError } from "../../src/core/index.ts";
import { smallOptimizer } from "../../src/formats/fixtures/torch.ts";
import { adapterFolder, adapterWeights, BASE, CONFIG, writeFiles } from "./files.ts";

/** What a row of damaged folders came to. */
export interface MutationReport {
  readonly cases: number;
  readonly read: number;
  readonly slowestSeconds: number;
  readonly mib: number;
  /** How often each error ended a look. */
  readonly codes: Readonly<Record<string, number>>;
}

/** Numbers that are the same for each seed (xorshift). */
function numbers(seed: number): (below: number) => number {
  let state = seed | 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

function damaged(bytes: Uint8Array, random: (below: number) => number): Uint8Array {
  const kind = random(4);
  if (kind === 0) return bytes.slice(0, random(bytes.byteLength + 1));
  const result = bytes.slice();
  if (kind === 1) result.copyWithin(random(bytes.byteLength), random(bytes.byteLength), random(bytes.byteLength));
  else for (let i = random(4); i >= 0; i--) result[random(bytes.byteLength)] = random(256);
  return result;
}

const json = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));

/** The files of a checkpoint, and a base beside it; one of them is damaged each time. */
const FILES: Readonly<Record<string, Uint8Array>> = {
  "adapter_model.safetensors": adapterWeights(),
  "adapter_config.json": json({ ...CONFIG, rank_pattern: { "layers.0.*q": 2 }, target_modules: ".*(q|v)_proj" }),
  "optimizer.pt": smallOptimizer(),
  "trainer_state.json": json({ global_step: 5, max_steps: 10, log_history: [{ step: 5, loss: 1.5, learning_rate: 1e-4 }] }),
  "base.json": json(BASE),
};

/**
 * Damages and looks, `cases` times.
 * @throws InternalError at the first input that ends in anything but a result or a typed error
 */
export async function runMutations(cases: number, seed: number): Promise<MutationReport> {
  const random = numbers(seed);
  const root = await mkdtemp(join(tmpdir(), "heirloom-damaged-"));
  const codes: Record<string, number> = {};
  const names = Object.keys(FILES);
  let read = 0;
  let slowestSeconds = 0;
  try {
    await adapterFolder(root, FILES);
    const base = join(root, "base.json");
    for (let i = 0; i < cases; i++) {
      const name = names[i % names.length] ?? "";
      await writeFiles(root, { [name]: damaged(FILES[name] ?? new Uint8Array(0), random) });
      const began = performance.now();
      for (const look of [() => inspectPath(root, { base }), () => verifyPath(root, { base, values: true })]) {
        try {
          await look();
          read++;
        } catch (error) {
          if (!isHeirloomError(error) || error.code === "INTERNAL")
            throw new InternalError(`case ${i} of seed ${seed} (${name}): ${error instanceof Error ? (error.stack ?? "") : String(error)}`);
          codes[error.code] = (codes[error.code] ?? 0) + 1;
        }
      }
      slowestSeconds = Math.max(slowestSeconds, (performance.now() - began) / 1000);
      await writeFiles(root, { [name]: FILES[name] });
    }
  } finally {
    await rm(root, { recursive: true });
  }
  return { cases, read, slowestSeconds, mib: process.resourceUsage().maxRSS / 1024, codes };
}
