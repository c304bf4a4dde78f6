import { mkdirSync, readdirSync, readFileSync, utimesSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { writeFileAtomic, writeFolderAtomic } from "../core/node/index.ts";
import { failure } from "../train/fixtures/tiny-run.ts";
import { ExportScene } from "./fixtures/scene.ts";
import { mergeAdapter } from "./index.ts";
import { NEW_OUTPUT, refuseExisting } from "./output.ts";

let scene: ExportScene;
beforeAll(() => {
  scene = new ExportScene();
});
afterAll(() => scene.close());

describe("what comes to bear an output's name while it is made", () => {
  test("stays, if it is a file, a folder with something in it, or a file in a folder's place", async () => {
    const file = scene.path("f.gguf");
    const late = async function* () {
      writeFileSync(file, "theirs");
      yield new Uint8Array(3);
    };
    expect(await failure(writeFileAtomic(file, late(), NEW_OUTPUT))).toMatchObject({ code: "OUTPUT_EXISTS" });
    expect(readFileSync(file, "utf8")).toBe("theirs");
    const folder = scene.path("folder");
    const fill = (temporary: string): Promise<void> => {
      mkdirSync(folder);
      writeFileSync(scene.path("folder", "theirs"), "");
      writeFileSync(`${temporary}/ours`, "");
      return Promise.resolve();
    };
    expect(await failure(writeFolderAtomic(folder, fill, NEW_OUTPUT))).toMatchObject({ code: "OUTPUT_EXISTS" });
    expect(readdirSync(folder)).toEqual(["theirs"]);
    expect(await failure(writeFolderAtomic(file, () => Promise.resolve(), NEW_OUTPUT))).toMatchObject({ code: "OUTPUT_EXISTS" });
    expect(readFileSync(file, "utf8")).toBe("theirs");
    expect(scene.names()).toEqual(["f.gguf", "folder"]);
  });

  test("is not lost to a merge either", async () => {
    const base = await scene.model("base", { dtype: "BF16" });
    const adapter = await scene.adapter("adapter", base);
    const output = scene.path("merged");
    const onEvent = (): void => writeFileSync(output, "theirs");
    const merging = mergeAdapter({ path: adapter, output, check: false }, { inline: true, onEvent });
    expect(await failure(merging)).toMatchObject({ code: "OUTPUT_EXISTS" });
    expect(readFileSync(output, "utf8")).toBe("theirs");
  });
});

test("what killed exports left of an output is cleared away after a day, and nothing else", async () => {
  const id = "12345678-1234-1234-1234-123456789abc";
  const [left, nested, fresh, others] = [
    `.new.${id}.tmp`,
    `..new.${id}.tmp.${id}.tmp`,
    `.new.${id.replace("1", "2")}.tmp`,
    `.old.${id}.tmp`,
  ];
  const longAgo = new Date(Date.now() - 25 * 3600 * 1000);
  for (const name of [left, nested, fresh, others]) {
    mkdirSync(scene.path(name));
    writeFileSync(scene.path(name, "model.safetensors"), "");
    if (name !== fresh) utimesSync(scene.path(name, "model.safetensors"), longAgo, longAgo);
    utimesSync(scene.path(name), longAgo, longAgo);
  }
  await refuseExisting(scene.path("new"));
  expect(scene.names().filter((name) => name.startsWith("."))).toEqual([fresh, others].sort());
});
