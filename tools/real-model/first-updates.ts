// Writes what another trainer needs to make the first updates of a run as they are made here: the adapter before the
// first update, and the batches in order.
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { type RunConfig, resolveConfig } from "../../src/config/index.ts";
import { writeFileAtomic } from "../../src/core/node/index.ts";
import type { MicroBatch } from "../../src/data/index.ts";
import { encodeSafetensors } from "../../src/formats/index.ts";
import { writeInitialAdapter } from "../../src/train/fixtures/inside.ts";
import { openSession } from "../../src/train/fixtures/live-session.ts";

/** Arrays of a micro-batch that decide its loss, all [batch, sequence]. */
const ARRAYS = ["inputIds", "labels", "positions", "segments"] as const satisfies readonly (keyof MicroBatch)[];

/** Where the other trainer finds its start. */
export interface FirstUpdates {
  /** Adapter folder as PEFT loads it. */
  readonly adapter: string;
  /** Safetensors: `<update>.<array>`, I32 [batch, sequence]. */
  readonly batches: string;
  readonly config: RunConfig;
}

/** Writes adapter and batches of the first `updates` updates of a run file without accumulation into `folder`. */
export async function writeFirstUpdates(
  runFile: { readonly path: string; readonly text: string },
  updates: number,
  folder: string,
): Promise<FirstUpdates> {
  const { config } = resolveConfig({ file: runFile });
  const { prepared, session, source } = await openSession(config);
  const adapter = join(folder, "initial");
  await mkdir(adapter, { recursive: true });
  await writeInitialAdapter(prepared, adapter);
  const batches = Array.from({ length: updates }, () => source.next());
  const tensors = batches.flatMap((batch, update) =>
    ARRAYS.map((name) => {
      const bytes = new Uint8Array(Int32Array.from(batch[name]).buffer);
      return { name: `${update}.${name}`, dtype: "I32" as const, shape: [batch.batch, batch.sequence], chunks: () => [bytes] };
    }),
  );
  const path = join(folder, "batches.safetensors");
  await writeFileAtomic(path, encodeSafetensors(tensors, {}));
  await session.model.dispose();
  return { adapter, batches: path, config };
}
