import { cpSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runJob } from "../core/node/index.ts";
import type { EvaluationRecord } from "../runs/index.ts";
import { evaluateJob } from "./evaluate-worker.ts";
import type { TrainingEvent } from "./events.ts";
import { editJson, rewriteTensors } from "./fixtures/adapter-files.ts";
import { TinyWorkshop, type Told, tinyRows } from "./fixtures/tiny-run.ts";

let workshop: TinyWorkshop;
let parent: Told;
let adapter: string;

beforeAll(async () => {
  workshop = await TinyWorkshop.open();
  workshop.write("new.jsonl", tinyRows(5, 2));
  parent = await workshop.train();
  adapter = parent.result.adapter as string;
});
afterAll(() => workshop.close());

async function evaluate(request: object = {}) {
  const events: TrainingEvent[] = [];
  const result = await runJob(evaluateJob, { path: adapter, ...request }, { inline: true, onEvent: (event) => void events.push(event) });
  return { ...result, gateEvents: events.filter((event) => event.type === "gate") };
}
const copyOf = (name: string): string => {
  cpSync(adapter, workshop.path(name), { recursive: true });
  return workshop.path(name);
};
const recordedIn = (folder: string): EvaluationRecord[] =>
  (JSON.parse(readFileSync(join(folder, "heirloom.json"), "utf8")) as { evaluations: EvaluationRecord[] }).evaluations;
/** A copy of the adapter whose record holds other losses. */
const withLoss = (name: string, change: (loss: number) => number): string => {
  const folder = copyOf(name);
  const evaluations = recordedIn(folder).map((record) => ({ ...record, loss: change(record.loss) }));
  editJson(join(folder, "heirloom.json"), { evaluations });
  return folder;
};

describe("an evaluation of an adapter with a record", () => {
  test("finds the loss that the run ended with, and says so", async () => {
    const [last] = parent.result.evaluations;
    const { recorded, gateEvents } = await evaluate();
    expect(recorded).toEqual([
      // The run kept its activations, which an evaluation has no use for.
      { path: adapter, dataset: "held", expected: last?.after, found: last?.after, exactly: false, differing: ["activations"], ok: true },
    ]);
    expect(gateEvents).toMatchObject([{ ok: true, dataset: "held", condition: "must be the recorded one within 1e-5" }]);
  });

  test("owes every bit where nothing else differs", async () => {
    const { result } = await workshop.train({ engine: { activations: "recompute" } });
    const { recorded, gateEvents } = await evaluate({ path: result.run });
    expect(recorded).toMatchObject([{ exactly: true, differing: [], ok: true, found: result.evaluations[0]?.after }]);
    expect(gateEvents).toMatchObject([{ condition: "must be the recorded one to the bit" }]);
    const other = await evaluate({ path: result.run, batchSize: 1 });
    expect(other.recorded).toMatchObject([{ exactly: false, differing: ["batchSize"], ok: true }]);
  });

  test("knows the rows under any name, and is held to nothing on others", async () => {
    const sets = { copy: [workshop.path("eval.jsonl")], fresh: [workshop.path("new.jsonl")] };
    expect((await evaluate({ sets })).recorded).toMatchObject([{ dataset: "copy", ok: true }]);
    expect((await evaluate({ sets: { held: sets.fresh } })).recorded).toEqual([]);
  });

  test("tells weights that are not those that were evaluated", async () => {
    const path = copyOf("other-weights");
    await rewriteTensors(join(path, "adapter_model.safetensors"), (tensors) =>
      tensors.map((tensor) => (tensor.name.includes("lora_B") ? { ...tensor, bytes: new Uint8Array(tensor.bytes.length) } : tensor)),
    );
    const { recorded, gateEvents } = await evaluate({ path });
    expect(recorded).toMatchObject([{ path, dataset: "held", ok: false }]);
    expect(gateEvents).toMatchObject([{ ok: false }]);
  });

  test("allows for 1e-5 of the loss, no more, where something may change the last bits", async () => {
    const near = await evaluate({ path: withLoss("near", (loss) => loss * (1 + 5e-6)) });
    expect(near.recorded).toMatchObject([{ ok: true }]);
    const far = await evaluate({ path: withLoss("far", (loss) => loss * (1 + 2e-5)) });
    expect(far.recorded).toMatchObject([{ ok: false }]);
  });

  test("holds what it is compared with against its own record, too", async () => {
    const { result } = await workshop.continue(adapter);
    const { recorded } = await evaluate({ path: result.run, against: "parent" });
    expect(recorded.map(({ path, dataset, ok }) => [path, dataset, ok])).toEqual([
      [result.run, "held", true],
      [adapter, "held", true],
    ]);
  });
});
