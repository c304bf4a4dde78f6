import { renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { failure } from "../train/fixtures/tiny-run.ts";
import { ExportScene } from "./fixtures/scene.ts";
import { exportGguf, mergeAdapter, quantizeModel } from "./index.ts";

let scene: ExportScene;
let adapter: string;
beforeAll(async () => {
  scene = new ExportScene();
  const base = await scene.model("base", { dtype: "BF16" });
  adapter = await scene.adapter("adapter", base);
  writeFileSync(scene.path("secret"), "a key");
});
afterAll(() => scene.close());

test.each(["LICENSE", "generation_config.json", "chat_template.jinja"])(
  "a link of a model folder that leads out of it, %s, is refused, and nothing of it is written",
  async (name) => {
    rmSync(scene.path("base", name), { force: true });
    symlinkSync(scene.path("secret"), scene.path("base", name));
    const refused = {
      code: "FILE_UNREADABLE",
      message: `${scene.path("base", name)}: expected a file inside the folder, found a link that leads out of it`,
    };
    const merged = mergeAdapter({ path: adapter, output: scene.path("out"), check: false }, { inline: true });
    expect(await failure(merged)).toMatchObject(refused);
    const quantized = quantizeModel({ path: scene.path("base"), output: scene.path("out") }, { inline: true });
    expect(await failure(quantized)).toMatchObject(refused);
    if (name === "chat_template.jinja") {
      const exported = exportGguf({ path: scene.path("base"), output: scene.path("out") }, { inline: true });
      expect(await failure(exported)).toMatchObject(refused);
    }
    rmSync(scene.path("base", name));
    expect(scene.names()).toEqual(["adapter", "base", "secret"]);
  },
);

test("a link within the folder is followed, and so is one to weights elsewhere", async () => {
  renameSync(scene.path("base", "model.safetensors"), scene.path("weights"));
  symlinkSync(scene.path("weights"), scene.path("base", "model.safetensors"));
  writeFileSync(scene.path("base", "licence"), "ours");
  symlinkSync("licence", scene.path("base", "LICENSE"));
  const { files } = await mergeAdapter({ path: adapter, output: scene.path("linked"), check: false }, { inline: true });
  expect(files).toContain("LICENSE");
});
