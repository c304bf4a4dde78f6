// Makes vectors/trainer-variants: checkpoints whose optimizers have Unsloth's two groups and LoRA+'s four, and the losses of
// the updates after them.
//
//   node --import ./tools/register-typescript.mjs tools/python/make-trainer-variants.ts --python PYTHON [--out vectors/trainer-variants]
import { execFileSync } from "node:child_process";
import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { TinyWorkshop, tinyRows } from "../../src/train/fixtures/tiny-run.ts";
import { SCENE, writeRows, writeScene } from "./trainer-scene.ts";

/** One update is one epoch, so that the order of the rows, which cannot be handed over, makes no difference. */
const ROWS = 4;

const { values: flags } = parseArgs({
  options: { python: { type: "string", default: "python3" }, out: { type: "string", default: "vectors/trainer-variants" } },
});

const workshop = await TinyWorkshop.open({ deviation: 0.1 });
try {
  copyFileSync(workshop.write("train.jsonl", tinyRows(ROWS)), join(flags.out, "train.jsonl"));
  const { config } = workshop.configure({ data: { packing: false }, quantization: "none" });
  await writeRows(config, ROWS / config.training.batchSize, workshop.path(SCENE.rows));
  writeScene(workshop.folder, { base: workshop.base, out: flags.out });
  execFileSync(flags.python, ["tools/python/make_trainer_variants.py", workshop.folder], { stdio: "inherit" });
} finally {
  workshop.close();
}
