import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { adapterFiles, COPIES, Q_PAIR } from "../../audit/fixtures/tiny.ts";
import { writeFolder } from "../../audit/fixtures/write-files.ts";
import { fakeTerminal } from "../fixtures/fake-terminal.ts";
import { runCli } from "../run.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "heirloom-cli-recipe-"));
  await writeFolder(join(folder, "copies"), adapterFiles({ modules_to_save: ["embed_tokens", "lm_head"] }, { ...Q_PAIR, ...COPIES }));
  await writeFolder(join(folder, "pissa"), adapterFiles({ init_lora_weights: "pissa" }));
});
afterAll(() => rm(folder, { recursive: true }));

async function run(...inputs: string[]) {
  const terminal = fakeTerminal({ folder });
  const exit = await runCli(["recipe", ...inputs], terminal);
  return { exit, out: terminal.out(), err: terminal.err() };
}

describe("heirloom recipe", () => {
  it("prints a script that can be piped into a file, its notes as comments", async () => {
    const { exit, out } = await run("copies", "--for", "peft", "--base", "owner/model");
    expect(exit).toBe(0);
    expect(out).toMatch(/^# note: /);
    expect(out).toContain('BASE = "owner/model"');
    expect(out).toContain("is_trainable=True");
  });

  it("prints the guard alone, with every trained tensor", async () => {
    const { exit, out } = await run("copies", "--guard");
    expect(exit).toBe(0);
    expect(out).toContain('("base_model.model.lm_head.weight", None, ');
    expect(out).not.toContain("from_pretrained");
  });

  it("writes a tool's files into a folder and says how to run them", async () => {
    const { exit, out } = await run("copies", "--for", "axolotl", "--base", "owner/model", "-o", "made");
    expect(exit).toBe(0);
    expect((await readdir(join(folder, "made"))).sort()).toEqual(["continue.yaml", "heirloom_guard.py"]);
    expect(await readFile(join(folder, "made", "continue.yaml"), "utf8")).toContain('base_model: "owner/model"');
    expect(out).toContain("axolotl train continue.yaml");
    expect(out).toContain("from the weights");
  });

  it("writes over nothing that was edited since: all of the files or none", async () => {
    const write = () => run("copies", "--for", "axolotl", "--base", "owner/model", "-o", "edited");
    await write();
    expect((await write()).exit).toBe(0);
    const path = join(folder, "edited", "continue.yaml");
    await writeFile(path, `${await readFile(path, "utf8")}# mine\n`);
    await rm(join(folder, "edited", "heirloom_guard.py"));
    const { exit, err } = await write();
    expect(exit).toBe(40);
    expect(err).toContain("OUTPUT_EXISTS");
    expect(await readdir(join(folder, "edited"))).toEqual(["continue.yaml"]);
    expect(await readFile(path, "utf8")).toContain("# mine");
  });

  it("prints one JSON document", async () => {
    const { out } = await run("copies", "--for", "llama-factory", "--base", "owner/model", "--json");
    expect(JSON.parse(out)).toMatchObject({
      schemaVersion: 1,
      tool: "llama-factory",
      start: "weights",
      trained: { tensors: 4 },
      files: [{ name: "continue.yaml" }, { name: "continue_with_llama_factory.py" }],
    });
  });

  it.each([
    ["what the tool cannot express, by name", ["pissa", "--for", "trl", "--base", "b"], 12, "trl: init_lora_weights"],
    ["a request for nothing", ["copies"], 2, "expected --for or --guard"],
    ["an unknown tool", ["copies", "--for", "torchtune"], 2, "torchtune"],
    ["a folder that is not there", ["nowhere", "--guard"], 11, "FILE_MISSING"],
  ])("refuses %s", async (_what, inputs, expected, said) => {
    const { exit, out, err } = await run(...inputs);
    expect({ exit, out }).toEqual({ exit: expected, out: "" });
    expect(err).toContain(said);
  });
});
