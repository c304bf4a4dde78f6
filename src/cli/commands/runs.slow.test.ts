import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { HeirloomError } from "../../core/index.ts";
import { SampleStore, sampleEvents } from "../../runs/fixtures/store.ts";
import { writeRunResult } from "../../runs/index.ts";
import { fakeTerminal } from "../fixtures/fake-terminal.ts";
import { runCli } from "../run.ts";
import { withMeasures } from "../with-measures.ts";

let store: SampleStore;
beforeEach(() => {
  store = new SampleStore();
});
afterEach(() => store.close());

async function run(...inputs: string[]) {
  const terminal = fakeTerminal({ folder: store.folder });
  const exit = await runCli(inputs, terminal);
  return { exit, out: terminal.out(), err: terminal.err() };
}

describe("a folder of runs", () => {
  it("without any has none yet; one that was named has to be there", async () => {
    for (const command of ["list", "tree"]) {
      expect(await run("runs", command)).toMatchObject({ exit: 0, out: expect.stringContaining("no runs yet in") as unknown });
      expect(await run("runs", command, "--dir", "elsewhere")).toMatchObject({ exit: 11 });
    }
    expect(await run("runs", "list", "--dir", ".")).toMatchObject({ exit: 0, out: expect.stringContaining("no runs yet in") as unknown });
    const filtered = await run("runs", "list", "--dir", ".", "--state", "failed");
    expect(filtered).toMatchObject({ exit: 0, out: expect.stringContaining("no such runs in") as unknown });
  });

  it("shows one evaluation as one number, and an adapter that was removed as missing", async () => {
    store.add("2026-01-01-a", { events: sampleEvents(4).slice(0, 5) });
    store.add("2026-01-02-b");
    const { out } = await run("runs", "list", "--dir", ".");
    expect(out).toMatch(/2026-01-01-a .* 3\.0000 *$/m);
    expect(out).toMatch(/2026-01-02-b .* 3\.0000 → 2\.0000 +missing *$/m);
    expect((await run("runs", "tree", "--dir", ".")).out).not.toContain("3.0000 → 3.0000");
    expect((await run("runs", "show", "2026-01-01-a", "--dir", ".", "--quick")).out).toMatch(/held-out loss +3\.0000\n/);
  });

  it("has losses and their differences in the same digits; smaller ones keep their size", async () => {
    store.add("2026-01-01-a", { events: sampleEvents(4) });
    store.add("2026-01-02-b", { events: sampleEvents(4, (step) => (step < 4 ? 5.5 - step : 2 + 1e-6)) });
    const { out } = await run("runs", "compare", "2026-01-01-a", "2026-01-02-b", "--dir", ".");
    expect(out).toMatch(/^1 +2\.7500 +4\.5000 +\+1\.7500 *$/m);
    expect(out).toMatch(/^4 +2\.0000 +2\.0000 +\+1\.00e-6 *$/m);
  });
});

describe("runs show --quick", () => {
  it("says what is missing of an adapter, and else what was not read", async () => {
    const folder = store.add("2026-01-01-a");
    const adapter = join(folder, "adapter");
    mkdirSync(adapter);
    for (const name of ["adapter_config.json", "adapter_model.safetensors"]) writeFileSync(join(adapter, name), "{}");
    await writeRunResult(folder, { id: "2026-01-01-a", output: adapter, steps: 4, loss: 2 });
    const made = (text: string): string | undefined => /^made +(.*?) *$/m.exec(text)?.[1];
    const whole = (await run("runs", "show", folder, "--quick")).out;
    expect(whole).toMatch(/the bytes of (one|\d+) were not read/);
    expect(whole).not.toContain("no link is broken");
    expect(made(whole)).toBe("adapter");
    rmSync(join(adapter, "adapter_config.json"));
    expect((await run("runs", "show", folder, "--quick")).out).toContain("no adapter_config.json in it");
    rmSync(adapter, { recursive: true });
    expect(made((await run("runs", "show", folder)).out)).toBe("adapter (missing)");
  });
});

describe("a run by the end of its id", () => {
  it("is found by resume, continue and eval, too; what is no run stays a path", async () => {
    const runs = join(store.folder, "runs");
    mkdirSync(join(runs, "2026-01-01-4921"), { recursive: true });
    writeFileSync(join(runs, "2026-01-01-4921", "run.json"), "{");
    for (const line of [
      ["resume", "4921"],
      ["continue", "4921"],
      ["eval", "4921"],
    ]) {
      expect((await run(...line)).err).toContain(join(runs, "2026-01-01-4921"));
      expect((await run(line[0] ?? "", "9999")).err).toContain(join(store.folder, "9999"));
    }
  });
});

describe("a failed gate", () => {
  it("comes with a table of what was measured before and after, whose shares are percent", async () => {
    const folder = store.add("2026-01-01-a");
    mkdirSync(join(folder, "rejected"));
    const gate = { dataset: "qa", metric: "exactMatch", condition: "must rise", before: 0.5, after: 1 / 3, limit: 0.5, ok: false };
    await writeRunResult(folder, {
      id: "2026-01-01-a",
      output: join(folder, "rejected"),
      steps: 4,
      loss: 2,
      measures: {
        evaluations: [{ dataset: "held", before: 3, after: 2 }],
        answers: [],
        samples: [{ prompt: "a\nb", before: "c\nd", after: "e" }],
        gates: [gate],
        stopped: null,
        keptStep: 4,
        current: null,
      },
    });
    const error = new HeirloomError("GATE_FAILED", "no", { details: { run: folder } });
    const shown: string[] = [];
    await expect(withMeasures({ stream: (text) => shown.push(text) }, Promise.reject(error))).rejects.toBe(error);
    const text = shown.join("");
    expect(text).toMatch(/held +3\.0000 +2\.0000 +-33\.3 %/);
    expect(text).toMatch(/qa +exact match must rise +50\.0 % +33\.3333 % +FAILED/);
    expect(text).toContain("a⏎b\n  before c\n         d\n  after  e");
  });
});
