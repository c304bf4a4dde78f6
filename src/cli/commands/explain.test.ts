import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { fakeTerminal } from "../fixtures/fake-terminal.ts";
import { runCli } from "../run.ts";

const BASE = ["--base", "vectors/configs/llama-3.1-8b.json"];
const SEED_LINE = "trainable params: 167,772,160 (1.81%)";
const terminalHere = () => fakeTerminal({ folder: process.cwd() });

describe("heirloom explain", () => {
  it("prints the verdict, the configurations, how many are not shown, and what to type", async () => {
    const terminal = terminalHere();
    expect(await runCli(["explain", SEED_LINE, ...BASE], terminal)).toBe(0);
    const out = terminal.out();
    expect(out).toContain("Every one of them has full copies of embed_tokens and lm_head in the model and frozen.");
    expect(out).toMatch(/^ +64 +all 7 linear +32\/32 +frozen +frozen +lora +9,248,706,560 +1,218,445,312 +2\.58 GiB$/m);
    expect(out).toMatch(/^ +32 +1,134,559,232 +12\.3795 +83,886,080 +2\.27 GiB$/m);
    expect(out).toMatch(/and \d+ less ordinary ones \(--all lists them\): /);
    expect(out).toContain("heirloom inspect ADAPTER --base vectors/configs/llama-3.1-8b.json");
  });

  it("lists every configuration with --all", async () => {
    const terminal = terminalHere();
    const json = terminalHere();
    await runCli(["explain", SEED_LINE, ...BASE, "--all"], terminal);
    await runCli(["explain", SEED_LINE, ...BASE, "--json"], json);
    const { hypotheses } = JSON.parse(json.out()) as { hypotheses: unknown[] };
    expect(terminal.out().match(/frozen +frozen/g)).toHaveLength(hypotheses.length);
    expect(terminal.out()).not.toContain("less ordinary ones");
  });

  it("prints the fields of the contract with --json", async () => {
    const terminal = terminalHere();
    expect(await runCli(["explain", "167772160", "9248706560", ...BASE, "--json"], terminal)).toBe(0);
    expect(JSON.parse(terminal.out())).toMatchObject({
      schemaVersion: 1,
      observed: { trainable: 167_772_160, all: 9_248_706_560, percent: null },
      hypotheses: expect.arrayContaining([
        expect.objectContaining({
          rank: 64,
          fullCopies: [
            expect.objectContaining({ module: "embed_tokens", state: "frozen" }),
            expect.objectContaining({ module: "lm_head", state: "frozen" }),
          ],
          trainable: 167_772_160,
          all: 9_248_706_560,
          exact: true,
          conflictsWith: [],
        }),
      ]),
      verdict: expect.any(String),
      advice: expect.any(Array),
    });
  });

  it("reads a log file", async () => {
    const folder = await mkdtemp(join(tmpdir(), "heirloom-explain-"));
    try {
      const log = join(folder, "train.log");
      await writeFile(log, `step 1\n${SEED_LINE}\nstep 2\n`);
      const terminal = terminalHere();
      expect(await runCli(["explain", "--log", log, ...BASE, "--json"], terminal)).toBe(0);
      expect(JSON.parse(terminal.out())).toMatchObject({ observed: { line: 2, text: SEED_LINE } });
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it.each([
    [["explain", SEED_LINE], 2, "USAGE"],
    [["explain", ...BASE], 2, "expected a banner or a log file, found neither"],
    [["explain", SEED_LINE, "--log", "a.log", ...BASE], 2, "found both"],
    [["explain", "loss 0.5", ...BASE], 2, "no count of trainable parameters"],
    [["explain", SEED_LINE, "--base", "nowhere"], 11, "FILE_MISSING"],
    [["explain", SEED_LINE, ...BASE, "--adapter", "nowhere"], 11, "FILE_MISSING"],
    [["explain", SEED_LINE, "--base", "vectors/arch-variants/gemma2/base/config.json"], 12, "ARCHITECTURE_UNSUPPORTED"],
  ])("%j ends with %i", async (inputs, code, text) => {
    const terminal = terminalHere();
    expect(await runCli(inputs, terminal)).toBe(code);
    expect(terminal.err()).toContain(text);
  });
});
