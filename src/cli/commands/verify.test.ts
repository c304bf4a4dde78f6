import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { adapterFiles, baseFiles, COPIES, KEYS, Q_PAIR } from "../../audit/fixtures/tiny.ts";
import { writeFolder } from "../../audit/fixtures/write-files.ts";
import { fakeTerminal } from "../fixtures/fake-terminal.ts";
import { runCli } from "../run.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "heirloom-cli-verify-"));
  await writeFolder(join(folder, "good"), adapterFiles());
  await writeFolder(join(folder, "warned"), adapterFiles({ init_lora_weights: "pissa" }));
  await writeFolder(join(folder, "bad"), adapterFiles({ r: 8 }));
  await writeFolder(join(folder, "prefix"), adapterFiles({}, { [`module.${KEYS.qA}`]: [2, 4], [KEYS.qB]: [4, 2] }));
  await writeFolder(join(folder, "hostile"), adapterFiles({}, { ...Q_PAIR, "base_model.model.\u001b[31mred\n::error::x.weight": [1] }));
  await writeFolder(join(folder, "copies"), adapterFiles({ modules_to_save: ["embed_tokens", "lm_head"] }, { ...Q_PAIR, ...COPIES }));
  await writeFolder(join(folder, "base"), baseFiles());
});
afterAll(() => rm(folder, { recursive: true }));

async function run(...inputs: string[]) {
  const terminal = fakeTerminal({ folder });
  const exit = await runCli(["verify", ...inputs], terminal);
  return { exit, out: terminal.out(), err: terminal.err() };
}

describe("heirloom verify", () => {
  it("ends with 0, or with 20 on an error, and on a warning if it is strict", async () => {
    const exits = await Promise.all([run("good"), run("warned"), run("warned", "--strict"), run("bad")]);
    expect(exits.map(({ exit }) => exit)).toEqual([0, 0, 20, 20]);
    expect(exits[3]?.out).toMatch(/error 2 matrices have rank 2 instead of 8: .* \[rank-mismatch\]\n {2}take adapter_config\.json/);
    expect(exits[3]?.out).toMatch(/not run, .*without --against: \d+ rules; .*\(--json names each\)/);
    expect(exits[3]?.out).toMatch(/failed: 1 error, 0 warnings, 0 notes; \d+ rules run, \d+ not\n$/);
  });

  it("prints one JSON document with the fields that scripts rely on", async () => {
    const { exit, out } = await run("bad", "--json", "--ignore", "copy-missing:on purpose");
    const document = JSON.parse(out) as Record<string, unknown>;
    expect(exit).toBe(20);
    expect(Object.keys(document)).toEqual(["schemaVersion", "ok", "checked", "skipped", "findings"]);
    expect(document["ok"]).toBe(false);
    expect(document["skipped"]).toContainEqual({ rule: "copy-missing", reason: "ignored: on purpose" });
    expect(document["findings"]).toEqual([
      {
        rule: "rank-mismatch",
        severity: "error",
        message: expect.stringContaining("rank 2 instead of 8") as string,
        tensors: [KEYS.qA, KEYS.qB],
        hint: expect.any(String) as string,
      },
    ]);
  });

  it("is a gate on what the trainer printed", async () => {
    const good = await run("copies", "--banner", "trainable params: 64 || all params: 448 || trainable%: 14.2857");
    const bad = await run("copies", "--banner", "trainable params: 16 || all params: 448 || trainable%: 3.5714");
    expect([good.exit, bad.exit]).toEqual([0, 20]);
    expect(bad.out).toContain("the adapter stores 64");
  });

  it("prints annotations that a name in the file cannot break out of", async () => {
    const { exit, out } = await run("hostile", "--github");
    expect(exit).toBe(0);
    const lines = out.split("\n").filter((line) => line.startsWith("::"));
    expect(lines).toHaveLength(2);
    expect(lines[0]).toMatch(/^::warning title=heirloom copy-not-declared::/);
    expect(out).not.toContain("\u001b");
  });

  it("prints the annotations on stderr if the document has stdout", async () => {
    const { out, err } = await run("bad", "--json", "--github");
    expect(JSON.parse(out)).toMatchObject({ ok: false });
    expect(err).toMatch(/^::error title=heirloom rank-mismatch::/);
  });

  it("fails on a rule that was asked for and cannot run", async () => {
    const { exit, out } = await run("good", "--only", "frozen", "--github");
    expect(exit).toBe(20);
    expect(out).toMatch(/^::error title=heirloom frozen::was asked for and did not run: without --against/);
  });

  it("names the rules that somebody left out, and keeps to the width that was asked for", async () => {
    const terminal = fakeTerminal({ folder, env: { COLUMNS: "60" } });
    await runCli(["verify", "bad", "--ignore", "copy-missing:on purpose"], terminal);
    expect(terminal.out().replaceAll(/\s+/g, " ")).toContain("ignored: on purpose: copy-missing");
    for (const line of terminal.out().split("\n")) expect(line.length).toBeLessThanOrEqual(60);
  });

  it("repairs into another folder, and wants both flags for it", async () => {
    const { exit, out } = await run("prefix", "--base", "base", "--fix", "-o", "fixed");
    expect(exit).toBe(0);
    expect(out).toContain("1 keys renamed to what PEFT reads");
    expect((await run("fixed", "--base", "base", "--strict")).exit).toBe(0);
    for (const flags of [["--fix"], ["-o", "elsewhere"]]) expect((await run("prefix", ...flags)).exit).toBe(2);
  });

  it.each(["copy-missing", "copy-missing:", "copy-missing: ", ":because"])(
    "wants a reason beside a rule that is left out: %s",
    async (text) => {
      const { exit, err } = await run("good", "--ignore", text);
      expect(exit).toBe(2);
      expect(err).toContain("--ignore: expected a rule and the reason to leave it out");
      expect(err).toContain(":why it may be left out");
    },
  );

  it("ends with 2 for an unknown rule, and with 11 for a folder without an adapter", async () => {
    const unknown = await run("good", "--only", "rank-mismach");
    expect(unknown.exit).toBe(2);
    expect(unknown.err).toContain('did you mean "rank-mismatch"?');
    expect((await run(".")).exit).toBe(11);
  });
});
