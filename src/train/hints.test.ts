import { cpSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openPath } from "../folders/index.ts";
import { failure, TinyWorkshop } from "./fixtures/tiny-run.ts";

let workshop: TinyWorkshop;
let run: string;
beforeAll(async () => {
  workshop = await TinyWorkshop.open();
  run = (await workshop.train({ training: { steps: 2 } })).result.run;
});
afterAll(() => workshop.close());

const hintOf = async (promise: Promise<unknown>): Promise<string> => (await failure(promise)).problems[0].hint ?? "";

describe("a hint leads on", () => {
  test("from a folder of runs to the newest of them", async () => {
    expect(await failure(workshop.resume(workshop.output))).toMatchObject({ code: "CHECKPOINT_INVALID" });
    expect(await hintOf(workshop.resume(workshop.output))).toBe(`the newest in it: heirloom resume ${run}`);
    expect(await failure(openPath(workshop.output))).toMatchObject({ code: "FILE_MISSING" });
    expect(await hintOf(openPath(workshop.output))).toBe(`name one of them; the newest is ${run}`);
    expect(await hintOf(workshop.continue(workshop.output))).toContain(run);
    mkdirSync(workshop.path("none"));
    expect(await hintOf(workshop.resume(workshop.path("none")))).toContain("heirloom train");
  });

  test("from a run without its final adapter to the checkpoint that it can be continued from", async () => {
    const unfinished = workshop.path("unfinished");
    cpSync(run, unfinished, { recursive: true });
    rmSync(join(unfinished, "adapter"), { recursive: true });
    const hint = await hintOf(workshop.continue(unfinished));
    const checkpoint = join(unfinished, "checkpoint-2");
    expect(hint).toContain(`heirloom resume ${unfinished}`);
    expect(hint).toContain(checkpoint);
    await expect(workshop.continue(checkpoint)).resolves.toBeDefined();
  });

  test("from data that changed to a continuation from the checkpoint", async () => {
    const changed = workshop.write("changed.jsonl", [{ prompt: "a", completion: "b" }]);
    const { result } = await workshop.train({ data: { train: changed }, training: { steps: 2, groups: [] } });
    workshop.write("changed.jsonl", [{ prompt: "a", completion: "another" }]);
    expect(await failure(workshop.resume(result.run))).toMatchObject({ code: "RESUME_CHANGED" });
    expect(await hintOf(workshop.resume(result.run))).toContain("heirloom continue RUN/checkpoint-N");
  });

  test("from a name on the hub to the download, and from a mistyped path to the path", async () => {
    const base = workshop.path("meta-llama", "Llama-3.1-8B");
    expect(await failure(workshop.train({ base }))).toMatchObject({ code: "FILE_MISSING", exitCode: 11 });
    expect(await hintOf(workshop.train({ base }))).toContain("hf download meta-llama/Llama-3.1-8B --local-dir FOLDER");
    expect(await hintOf(workshop.train({ base: "hf://meta-llama/Llama-3.1-8B" }))).toContain("hf download meta-llama/Llama-3.1-8B");
    expect(await hintOf(workshop.train({ base: workshop.path("nowhere") }))).toBe("check the path for a typing error");
  });

  test("from a base without its tokenizer to the files that it lacks", async () => {
    const base = workshop.path("bare");
    cpSync(workshop.base, base, { recursive: true });
    rmSync(join(base, "tokenizer.json"));
    expect(await failure(workshop.train({ base }))).toMatchObject({
      code: "FILE_MISSING",
      message: expect.stringContaining("the base has no") as unknown,
    });
    expect(await hintOf(workshop.train({ base }))).toContain("put the tokenizer's files beside the base's weights");
  });

  test("from a file in the place of the output folder to the flag", async () => {
    const output = workshop.path("file");
    writeFileSync(output, "");
    for (const place of [output, join(output, "runs")]) {
      const error = await failure(workshop.train({ output: place }));
      expect(error).toMatchObject({ code: "WRITE_FAILED", exitCode: 40 });
      expect(error.message).toContain("found a file in its place");
      expect(error.problems[0].hint).toContain("--output");
    }
  });
});
