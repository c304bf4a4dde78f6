import { existsSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { breakDisk } from "../core/fixtures/faulty-disk.ts";
import { openAdapterFolder } from "../folders/index.ts";
import type { Ledger } from "../ledger/index.ts";
import { EventLog } from "../runs/index.ts";
import { writeCheckpoint } from "./checkpoint/write.ts";
import { rewriteTensors } from "./fixtures/adapter-files.ts";
import { openSession } from "./fixtures/live-session.ts";
import { failure, losses, TinyWorkshop } from "./fixtures/tiny-run.ts";
import { Keeper, type Progress } from "./keeper.ts";
import { observeSession } from "./observe.ts";
import { assertSavedLedger, assertSavedModel } from "./saved-adapter.ts";

let workshop: TinyWorkshop;
beforeAll(async () => {
  workshop = await TinyWorkshop.open();
});
afterAll(() => workshop.close());
afterEach(() => breakDisk(null));

const FULL = { quantization: "none", fullParameter: true, adapter: "none", training: { groups: [] } };

/** A keeper of a live run, which believes `change` of its ledger. */
async function keeper(
  values: Readonly<Record<string, unknown>>,
  change: (ledger: Ledger) => Ledger,
): Promise<{ keeper: Keeper; run: string; ledger: Ledger }> {
  const { config } = workshop.configure(values);
  const { prepared, session, source } = await openSession(config);
  const { batch, sequence } = source.next();
  const ledger = await observeSession(session.model, session.optimizer, batch, sequence);
  const run = workshop.path(`kept-${Math.random()}`);
  return {
    keeper: new Keeper(
      { id: "id", folder: run, startedAt: "2026-01-01T00:00:00.000Z", environment: {}, changes: [] },
      prepared,
      session,
      change(ledger),
    ),
    run,
    ledger,
  };
}
const PROGRESS: Progress = {
  step: 1,
  steps: 2,
  tokens: 3,
  position: { epoch: 0, index: 1 },
  epoch: 0.5,
  livenessDone: true,
  log: [],
  first: [],
  last: [],
  answers: { first: [], last: [] },
  samples: [],
  best: null,
  stopping: null,
};
const withExtra = (ledger: Ledger): Ledger => ({
  ...ledger,
  entries: [
    ...ledger.entries,
    {
      ...(ledger.entries.find(({ trainable }) => trainable) as Ledger["entries"][number]),
      name: "base_model.model.ghost.lora_A.default.weight",
    },
  ],
});

test("files of the base that are copied are read through no link that leads out of its folder, before anything is trained", async () => {
  const base = await workshop.model("linked", {});
  writeFileSync(workshop.path("secret"), "{}");
  symlinkSync(workshop.path("secret"), join(base, "generation_config.json"));
  const error = await failure(workshop.train({ ...FULL, base }));
  expect(error).toMatchObject({ code: "FILE_UNREADABLE" });
  expect(error.message).toContain("a link that leads out of it");
});

describe("what is saved", () => {
  test.each([
    ["an adapter", {}],
    ["a model", FULL],
  ])("is read back; %s that lacks a live tensor is refused and not left behind", async (_what, values) => {
    const { keeper: kept, run } = await keeper(values, withExtra);
    for (const save of [async () => writeCheckpoint(await kept.checkpoint(PROGRESS)), () => kept.final(1, [])]) {
      const error = await failure(save());
      expect(error).toMatchObject({ code: "LEDGER_MISMATCH", exitCode: 12 });
      expect(error.message).toContain("ghost");
    }
    expect(readdirSync(run)).toEqual([]);
  });

  test("is refused if the file lost a tensor, has another dtype, or ends early", async () => {
    const { result } = await workshop.train();
    const folder = result.adapter as string;
    const path = join(folder, "adapter_model.safetensors");
    const whole = readFileSync(path);
    const { ledger } = await keeper({}, (same) => same);
    const { prepared } = await openSession(workshop.configure().config);
    const check = () => assertSavedLedger(folder, ledger, prepared.base.spec);
    await check();
    await rewriteTensors(path, (tensors) => tensors.slice(1));
    expect(await failure(check())).toMatchObject({ code: "LEDGER_MISMATCH", exitCode: 12 });
    writeFileSync(path, whole);
    await rewriteTensors(path, (tensors) =>
      tensors.map((tensor, i) => (i > 0 ? tensor : { ...tensor, dtype: "BF16", bytes: tensor.bytes.slice(0, tensor.bytes.length / 2) })),
    );
    expect((await failure(check())).message).toMatch(/expected dtype F32, found BF16/);
    writeFileSync(path, whole.subarray(0, whole.length - 1));
    expect(await failure(check())).toMatchObject({ code: "SAFETENSORS_TRUNCATED" });
    writeFileSync(path, whole);
  });

  test("as a model is refused if it has a tensor too many", async () => {
    const { result } = await workshop.train({ ...FULL, training: { steps: 2, groups: [] } });
    const { ledger } = await keeper(FULL, (same) => same);
    const folder = join(result.run, "model");
    await assertSavedModel(folder, ledger);
    await rewriteTensors(join(folder, "model.safetensors"), (tensors) => [
      ...tensors,
      ...tensors.slice(0, 1).map((tensor) => ({ ...tensor, name: "stray" })),
    ]);
    expect((await failure(assertSavedModel(folder, ledger))).message).toContain("stray");
  });

  test.each([true, false])("of tied embeddings with one shared copy (%s) has the ledger of what is trained", async (ensureWeightTying) => {
    const base = await workshop.model(`tied-${ensureWeightTying}`, { tied: true });
    const unsaid = await failure(workshop.train({ base, training: { steps: 2 } }));
    expect(unsaid).toMatchObject({ code: "ADAPTER_TIED_CHOICE", exitCode: 10 });
    const { result, events } = await workshop.train({ base, adapter: { ensureWeightTying }, training: { steps: 2 } });
    const said = events.flatMap((event) => (event.type === "note" ? [event.message] : []));
    expect(said.some((note) => note.includes(`ensureWeightTying: ${ensureWeightTying}`))).toBe(true);
    const copies = ensureWeightTying ? 1 : 2;
    expect(result.counts.fullCopies).toBe(copies * 264 * 32);
    const opened = await openAdapterFolder(result.adapter as string);
    await opened.folder.close();
    const continued = await workshop.continue(result.run);
    expect(continued.result.counts).toEqual(result.counts);
  });
});

describe("a disk that fills up", () => {
  test.each([
    ["the weights", /adapter_model/],
    ["the optimizer state", /optimizer/],
    ["the state", /heirloom_state/],
  ])("while %s of a checkpoint are written leaves the checkpoint before it whole, and nothing half-written", async (_what, path) => {
    let run = "";
    const error = await failure(
      workshop.train(
        { checkpoints: { everySteps: 2 } },
        {
          onEvent(event) {
            if (event.type === "started") run = event.run ?? "";
            if (event.type === "checkpoint" && event.step === 2) breakDisk({ path });
          },
        },
      ),
    );
    expect(error).toMatchObject({ code: "DISK_FULL", exitCode: 40 });
    expect(readdirSync(run).sort()).toEqual(["checkpoint-2", "events.jsonl", "run.json"]);
    breakDisk(null);
    expect(losses((await workshop.resume(run)).events)).toHaveLength(2);
  });

  test("while the final adapter is written leaves no adapter", async () => {
    let run = "";
    const onEvent = (event: { type: string; run?: string | null }): void => {
      if (event.type === "started") run = event.run ?? "";
      if (event.type === "checkpoint") breakDisk({ path: /adapter_model/ });
    };
    expect(await failure(workshop.train({}, { onEvent }))).toMatchObject({ code: "DISK_FULL" });
    expect(readdirSync(run).sort()).toEqual(["checkpoint-4", "events.jsonl", "run.json"]);
  });

  test("before the record is written leaves no run", async () => {
    breakDisk({ path: /run\.json/ });
    const output = workshop.path("no-runs");
    expect(await failure(workshop.train({ output }))).toMatchObject({ code: "DISK_FULL" });
    expect(existsSync(output)).toBe(false);
  });

  test("is told from any other fault in writing", async () => {
    breakDisk({ path: /adapter_model/, code: "EIO" });
    expect(await failure(workshop.train())).toMatchObject({ code: "WRITE_FAILED", exitCode: 40 });
  });

  test("is told by the event log", async () => {
    const log = await EventLog.open("/dev/full");
    await log.append({ type: "x" }, new Date(0));
    expect(await failure(log.flush())).toMatchObject({ code: "DISK_FULL", exitCode: 40 });
    expect(await failure(EventLog.open(workshop.path("train.jsonl", "events.jsonl")))).toMatchObject({ code: "WRITE_FAILED" });
  });
});

describe("an output folder that cannot be made", () => {
  test("is told as WRITE_FAILED with its path", async () => {
    const output = workshop.path("train.jsonl");
    expect(await failure(workshop.train({ output }))).toMatchObject({ code: "WRITE_FAILED", exitCode: 40 });
  });
});
