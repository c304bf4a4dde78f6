import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { breakDisk } from "../../core/fixtures/faulty-disk.ts";
import { torchTensor } from "../../formats/index.ts";
import { failure } from "../fixtures/tiny-run.ts";
import { checkFiles, type FileChecksum } from "./files.ts";
import { CheckpointSaver } from "./saver.ts";
import { type CheckpointState, STATE_FILE } from "./state.ts";
import { type PlannedCheckpoint, writeCheckpoint } from "./write.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "heirloom-saver-"));
});
afterEach(() => {
  breakDisk(null);
  rmSync(folder, { recursive: true, force: true });
});

const FILES = ["adapter_model.safetensors", "optimizer.pt", "trainer_state.json"];
/** More than one piece of a file and no whole number of them; then also so much that a thread of its own takes the checksums. */
const SIZES = [2 ** 21 + 5, 2 ** 22 + 5];
const [LARGE] = SIZES as [number, number];

/** A checkpoint of two tensors, the smaller one twice in its files, as an embedding is that serves two modules. */
function planned(run: string, step: number, [large, small]: readonly [Float32Array, Float32Array]): PlannedCheckpoint {
  const bytes = (values: Float32Array): Uint8Array => new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const shape = (values: Float32Array): number[] => [values.length];
  return {
    run,
    // Only what saving reads of it: the state is written as it is.
    state: { step } as CheckpointState,
    memory: [large, small],
    files: (read) => [
      {
        name: "adapter_model.safetensors",
        tensors: ["a", "b"].map((name) => ({ name, dtype: "F32", shape: shape(small), chunks: () => [bytes(read(small))] })),
      },
      { name: "optimizer.pt", torch: new Map([["large", torchTensor("F32", shape(large), () => [bytes(read(large))])]]) },
      { name: "trainer_state.json", text: `{"step":${step}}` },
    ],
    verify: () => Promise.resolve(),
    retention: { keepLast: null, best: null },
  };
}

const tensors = (length = LARGE): [Float32Array, Float32Array] => [Float32Array.from({ length }, (_, i) => i), Float32Array.of(1, 2, 3)];

const saverOf = (events: string[] = []): CheckpointSaver =>
  new CheckpointSaver({
    flush: () => Promise.resolve(),
    report: ({ step }) => {
      events.push(`written ${step}`);
      return Promise.resolve();
    },
  });

/** The bytes of a checkpoint that was written while nothing changed. */
async function written(step: number, values: [Float32Array, Float32Array]): Promise<Buffer[]> {
  const path = await writeCheckpoint(planned(join(folder, "still"), step, values));
  return FILES.map((name) => readFileSync(join(path, name)));
}

const found = (run: string, step: number): Buffer[] => FILES.map((name) => readFileSync(join(run, `checkpoint-${step}`, name)));

/** The checksums that a checkpoint's state has of its files. */
const recorded = (run: string, step: number): FileChecksum[] =>
  (JSON.parse(readFileSync(join(run, `checkpoint-${step}`, STATE_FILE), "utf8")) as { files: FileChecksum[] }).files;

const same = (a: readonly Buffer[], b: readonly Buffer[]): boolean[] => a.map((bytes, i) => bytes.equals(b[i] as Buffer));

describe("a checkpoint that is written beside training", () => {
  test.each(SIZES)(
    "holds what the tensors (%i values) were when it was taken, byte for byte, however they change meanwhile",
    async (size) => {
      const live = tensors(size);
      const saver = saverOf();
      for (const step of [1, 2, 3]) {
        const expected = await written(step, live);
        await saver.save(planned(folder, step, live));
        for (const values of live) values.fill(-step);
        await saver.settle();
        expect(same(found(folder, step), expected)).toEqual([true, true, true]);
        await checkFiles(join(folder, `checkpoint-${step}`), recorded(folder, step));
      }
    },
  );

  test("is waited for by the next one", async () => {
    const live = tensors();
    const events: string[] = [];
    const saver = saverOf(events);
    await saver.save(planned(folder, 1, live));
    expect(events).toEqual([]);
    const expected = await written(1, live);
    for (const values of live) values.fill(7);
    await saver.save(planned(folder, 2, live));
    expect(events).toEqual(["written 1"]);
    await saver.settle();
    expect(events).toEqual(["written 1", "written 2"]);
    expect(same(found(folder, 1), expected)).toEqual([true, true, true]);
  });

  test.each(SIZES)("(%i values) that fails is told by the next check, and the one after it is written whole", async (size) => {
    const live = tensors(size);
    const saver = saverOf();
    breakDisk({ path: /optimizer/ });
    await saver.save(planned(folder, 1, live));
    expect(await failure(saver.settle())).toMatchObject({ code: "DISK_FULL" });
    breakDisk(null);
    const expected = await written(2, live);
    await saver.save(planned(folder, 2, live));
    for (const values of live) values.fill(0);
    await saver.settle();
    expect(same(found(folder, 2), expected)).toEqual([true, true, true]);
  });

  test("is whole soon if it is given time, where training leaves it one turn in a while", async () => {
    const events: string[] = [];
    const saver = saverOf(events);
    await saver.save(planned(folder, 1, tensors(5)));
    let updates = 0;
    for (; events.length === 0 && updates < 50; updates++) {
      await new Promise((resolve) => setImmediate(resolve)); // an update: one graph that is run
      await saver.advance(200);
    }
    expect(updates).toBeLessThan(10);
    await saver.advance(60_000); // nothing is being written: nothing is waited for
  });

  test("may read no tensor that was not copied", async () => {
    const [large, small] = tensors();
    const saver = saverOf();
    await saver.save({ ...planned(folder, 1, [large, small]), memory: [large] });
    expect(await failure(saver.settle())).toMatchObject({ code: "INTERNAL" });
  });
});

test("a copy that does not fit into memory is not made: training waits for the disk, and what was copied before is given back", async () => {
  const live = tensors();
  const events: string[] = [];
  const saver = saverOf(events);
  const expected = await written(1, live);
  const available = process.availableMemory;
  process.availableMemory = () => 0;
  try {
    await saver.save(planned(folder, 1, live));
  } finally {
    process.availableMemory = available;
  }
  expect(events).toEqual(["written 1"]);
  expect(same(found(folder, 1), expected)).toEqual([true, true, true]);
});
