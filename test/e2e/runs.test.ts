// Locks, records and repetition through the built program: where it matters that they are processes.
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type TinyWorkshop, tinyRows } from "../../src/train/fixtures/tiny-run.ts";
import { heirloom, isBuilt, openWorkshop, startHeirloom, writeRunFile } from "./fixtures/program.ts";

/** Long enough to be disturbed on any machine: an update takes some milliseconds. */
const STEPS = 400;

describe.skipIf(!isBuilt)("runs", () => {
  let workshop: TinyWorkshop;
  const path = (...parts: string[]): string => join(workshop.folder, ...parts);
  const json = async <T>(code: number, ...inputs: string[]): Promise<T> => {
    const ended = await heirloom([...inputs, "--json", "--quiet"], { folder: workshop.folder });
    expect({ code: ended.code, err: ended.err }).toEqual({ code, err: "" });
    return JSON.parse(ended.out) as T;
  };

  beforeAll(async () => {
    workshop = await openWorkshop();
    const { training } = workshop.defaults() as { training: object };
    writeRunFile(workshop, "long.yaml", { training: { ...training, steps: STEPS }, checkpoints: { everySteps: 20 }, output: "long" });
  });
  afterAll(() => workshop.close());

  it("have one process each: a second is refused with the first one's number, and a killed one's lock is taken over", async () => {
    const first = startHeirloom(["train", "-c", "long.yaml"], { folder: workshop.folder });
    await first.shown("checkpoint after step 20");
    const run = path("long", readdirSync(path("long"))[0] ?? "");
    const second = await heirloom(["resume", run], { folder: workshop.folder });
    expect(second.code).toBe(40);
    expect(second.err).toContain(`process ${first.child.pid}`);
    expect(second.err).toContain("RUN_LOCKED");
    const running = await json<{ runs: { state: string }[] }>(0, "runs", "list", "--dir", "long");
    expect(running.runs.map(({ state }) => state)).toEqual(["running"]);

    first.child.kill("SIGKILL");
    await first.ended;
    expect(existsSync(join(run, "run.lock"))).toBe(true);
    const dead = await json<{ runs: { state: string }[] }>(0, "runs", "list", "--dir", "long", "--state", "dead");
    expect(dead.runs).toHaveLength(1);
    const resumed = startHeirloom(["resume", run], { folder: workshop.folder });
    await resumed.shown("its lock was taken over");
    await resumed.shown("step");
    resumed.child.kill("SIGINT");
    const { code, err } = await resumed.ended;
    expect({ code, said: err.includes(`process ${first.child.pid}, which worked on this run`) }).toEqual({ code: 130, said: true });
    expect(existsSync(join(run, "run.lock"))).toBe(false);
    const { runs } = await json<{ runs: { state: string; name: string }[] }>(0, "runs", "list", "--dir", "long");
    expect(runs.map(({ state }) => state)).toEqual(["interrupted"]);
  });

  it("release their lock when Ctrl-C comes twice", async () => {
    workshop.write("many.jsonl", tinyRows(3000));
    const slow = ["--output", "twice", "--set", "training.accumulation=3000", "--set", "data.train=many.jsonl"];
    const running = startHeirloom(["train", "-c", "long.yaml", ...slow], { folder: workshop.folder });
    await running.shown("eval after step 0");
    running.child.kill("SIGINT");
    await running.shown("Ctrl-C again ends at once");
    running.child.kill("SIGINT");
    expect((await running.ended).code).toBe(130);
    expect(readdirSync(path("twice", readdirSync(path("twice"))[0] ?? ""))).not.toContain("run.lock");
  });

  it("leave no folder behind if they fail before anything is written", async () => {
    const { code } = await heirloom(["train", "-c", "run.yaml", "--output", "none", "--set", "data.train=absent.jsonl"], {
      folder: workshop.folder,
    });
    expect({ code, exists: existsSync(path("none")) }).toEqual({ code: 11, exists: false });
  });

  it("are listed, shown, related and compared; repeated, they come out the same in every bit, or what differs is said", async () => {
    const trained = await json<{ run: string }>(0, "train", "-c", "run.yaml");
    const continued = await json<{ run: string }>(0, "continue", trained.run, "-c", "more.yaml");
    const repeated = await json<{ run: string; repetition: object }>(0, "train", "--from", trained.run);
    expect(repeated.repetition).toMatchObject({ identical: true, compared: 4, inputs: [], environment: [] });

    const { runs } = await json<{ runs: object[] }>(0, "runs", "list", "--limit", "2");
    expect(runs).toMatchObject([{ kind: "train" }, { kind: "continue", state: "finished", step: 2, output: "adapter" }]);
    const tree = await json<{ roots: object[] }>(0, "runs", "tree");
    expect(tree.roots).toMatchObject([{ children: [{ run: { path: continued.run } }] }, { run: { path: repeated.run }, children: [] }]);
    const shown = await json<{ lineage: object }>(0, "runs", "show", continued.run.slice(-4));
    expect(shown).toMatchObject({ summary: { state: "finished" }, result: { output: "adapter" }, lineage: { ok: true } });
    const compared = await json<object>(0, "runs", "compare", trained.run, repeated.run);
    expect(compared).toMatchObject({ config: [], inputs: [], ledger: [], firstDifference: null, output: [] });

    workshop.write("train.jsonl", tinyRows(12, 5));
    const differs = await heirloom(["train", "--from", trained.run, "--quiet"], { folder: workshop.folder });
    expect(differs.code).toBe(20);
    expect(differs.out).toContain("losses differ from update 1 on");
    expect(differs.out).toContain("training data");
    const broken = await heirloom(["runs", "show", continued.run], { folder: workshop.folder });
    expect(broken).toMatchObject({ code: 0, out: expect.stringContaining("links are broken") as unknown });
    const text = await heirloom(["runs", "compare", trained.run, continued.run], { folder: workshop.folder });
    expect(text.out).toContain("training.steps");
    expect((await heirloom(["runs", "tree"], { folder: workshop.folder })).out).toContain("└ ");
  });

  it("refuse what does not go together, and what is not there", async () => {
    const flags = await heirloom(["train", "--from", "x", "--rank", "3"], { folder: workshop.folder });
    expect(flags).toMatchObject({ code: 2, err: expect.stringContaining("found --rank") as unknown });
    const missing = await heirloom(["runs", "show", "nothing"], { folder: workshop.folder });
    expect(missing).toMatchObject({ code: 11, err: expect.stringContaining("runs list") as unknown });
    writeFileSync(path("runs", ".heirloom-index.jsonl"), "damaged");
    expect((await heirloom(["runs", "list"], { folder: workshop.folder })).code).toBe(0);
    expect(readFileSync(path("runs", ".heirloom-index.jsonl"), "utf8")).toContain("heirloom-index");
  });
});
