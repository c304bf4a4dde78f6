import { readdirSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseSetFlag } from "../config/index.ts";
import { verifyLineage } from "../runs/index.ts";
import { evaluateJob } from "./evaluate-worker.ts";
import type { TrainingEvent } from "./events.ts";
import { TinyWorkshop } from "./fixtures/tiny-run.ts";

let workshop: TinyWorkshop;
let parent: string;
let child: string;
let asParentWas: object;
let resumeNotes: string;
let kept: string;

const notesOf = (events: readonly TrainingEvent[]): string =>
  events.flatMap((event) => (event.type === "note" ? [event.message] : [])).join("\n");

async function evaluateAgainstParent() {
  const events: TrainingEvent[] = [];
  const emit = (event: TrainingEvent): void => void events.push(event);
  const result = await evaluateJob.body({ path: child, against: "parent" }, { emit, stopRequested: () => false });
  return { result, notes: notesOf(events) };
}

beforeAll(async () => {
  workshop = await TinyWorkshop.open();
  parent = (await workshop.train()).result.run;
  child = (await workshop.continue(parent)).result.run;
  const { result, notes } = await evaluateAgainstParent();
  expect(notes).not.toContain("is not what it was");
  asParentWas = result.evaluations;
  const { events } = await workshop.resume(parent, { changes: [parseSetFlag("training.steps=6")] });
  resumeNotes = notesOf(events);
  kept = join(parent, readdirSync(parent).find((name) => name.startsWith("adapter.abandoned-")) ?? "");
});
afterAll(() => workshop.close());

describe("an adapter that a run continued, and whose own run went on", () => {
  test("is told when it is set aside, with the run that stands on it", () => {
    expect(resumeNotes).toContain(`1 run continues it (${basename(child)}): ${join(parent, "adapter")} belongs to a branch that is left`);
    expect(resumeNotes).toContain(`kept as ${kept}`);
  });

  test("is what an evaluation against the parent compares with, and that is said", async () => {
    const { result, notes } = await evaluateAgainstParent();
    expect(result.evaluations).toEqual(asParentWas);
    expect(result.against).toBe(kept);
    expect(notes).toContain("is not what it was then; compared with the same bytes in");
  });

  test("is found by the lineage", async () => {
    const links = (await verifyLineage(child)).links.filter(({ what }) => what === "parent adapter");
    expect(links).toMatchObject([{ state: "moved", found: `the same bytes in ${kept}` }]);
  });

  test("is compared with as it is now where what it was is gone, with a warning", async () => {
    rmSync(kept, { recursive: true });
    const { result, notes } = await evaluateAgainstParent();
    expect(result.against).toBe(join(parent, "adapter"));
    expect(notes).toContain("is not what it was then: other bytes in adapter_model.safetensors, and it is compared with as it is now");
  });
});
