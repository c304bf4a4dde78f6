import { statSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { planRun } from "../audit/index.ts";
import { TinyWorkshop } from "./fixtures/tiny-run.ts";

let workshop: TinyWorkshop;

beforeAll(async () => {
  workshop = await TinyWorkshop.open();
});
afterAll(() => workshop.close());

describe("plan", () => {
  it.each([
    ["an adapter with fp32 copies", { checkpoints: { everySteps: 4 } }],
    ["an adapter with bf16 copies", { adapter: { fullCopyDtype: "bf16" }, checkpoints: { everySteps: 4 } }],
  ])("foretells the files and the banner of %s to the byte", async (_name, values) => {
    const resolved = workshop.configure(values);
    const plan = await planRun(resolved.config, { memoryBytes: 2 ** 34 });
    const { result } = await workshop.train(values);
    expect(result.banner).toBe(plan.banner);
    for (const { file, bytes } of plan.files) {
      expect(statSync(join(result.run, file.replace("checkpoint-N", "checkpoint-4"))).size, file).toBe(bytes);
    }
  });
});
