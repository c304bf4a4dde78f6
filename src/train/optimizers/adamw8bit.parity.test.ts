import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { dynamicType } from "../../codecs/index.ts";
import { openFile } from "../../core/node/index.ts";
import { openSafetensors, type TensorFile } from "../../formats/index.ts";
import { compiler } from "../fixtures/compile.ts";
import { bareParameter } from "../fixtures/parameter.ts";
import { AdamW } from "./adamw.ts";
import { AdamW8bit } from "./adamw8bit.ts";

const FILE = join(import.meta.dirname, "../../../vectors/adamw8bit/updates.safetensors");
const COUNT = 5000;
const UPDATES = 12;
const POWERS = [1, 0.1, 0.01, 0.001, 0.0001];
const SETTINGS = { betas: [0.9, 0.99], epsilon: 1e-8 } as const;
const NOTHING_TO_STORE = (): void => undefined;

/** The formula of vectors/adamw8bit/make.py: values at step 0, gradients at the others. */
function spread(step: number, powers = POWERS): Float32Array {
  const share = (i: number): number => ((i * 40503 + step * 30011 + 17) % 65536) / 65536 - 0.5;
  return Float32Array.from({ length: COUNT }, (_, i) => share(i) * (powers[i % powers.length] as number));
}

let source: Awaited<ReturnType<typeof openFile>>;
let file: TensorFile;
beforeAll(async () => {
  source = await openFile(FILE);
  file = await openSafetensors(source);
});
afterAll(() => source.close());

const bytes = async (name: string): Promise<Uint8Array> => new Uint8Array(await file.read(name));
const floats = async (name: string): Promise<Float32Array> => new Float32Array((await bytes(name)).buffer);
const difference = (a: Float32Array, b: Float32Array): number =>
  a.reduce((most, x, i) => Math.max(most, Math.abs(x - (b[i] as number))), 0);

/** A run of `updates` from the formula's values. */
async function run(Kind: typeof AdamW | typeof AdamW8bit, updates: number, powers = POWERS) {
  const parameter = bareParameter([...spread(0)]);
  const optimizer = new Kind([{ parameter, group: "g", weightDecay: 0.1 }], SETTINGS, compiler());
  for (let step = 1; step <= updates; step++) {
    parameter.gradient.set(spread(step, powers));
    await optimizer.update(new Map([["g", 1e-3 / step]]), 1, NOTHING_TO_STORE);
  }
  const state: Readonly<Record<string, Float32Array | Uint8Array>> = optimizer.slots[0]?.state ?? {};
  return { values: parameter.values, state };
}

describe("AdamW with moments in 8 bits", () => {
  test("has the maps of bitsandbytes", async () => {
    expect(dynamicType(true).map).toEqual(await floats("qmap1"));
    expect(dynamicType(false).map).toEqual(await floats("qmap2"));
  });

  test.each([1, UPDATES])("keeps the codes and scales of bitsandbytes after %i updates", async (updates) => {
    const { state, values } = await run(AdamW8bit, updates);
    for (const moment of [1, 2]) {
      const [codes, wanted] = [state[`state${moment}`] as Uint8Array, await bytes(`${updates}.state${moment}`)];
      const others = codes.reduce((count, code, i) => count + (code === wanted[i] ? 0 : 1), 0);
      // torch rounds β·m + (1 − β)·g once, as a fused operation, and here each step is rounded: next to the border of two codes
      // a value may fall on the other side, then by one.
      expect(others / COUNT).toBeLessThan(0.002);
      expect(codes.every((code, i) => Math.abs(code - (wanted[i] as number)) <= 1)).toBe(true);
      const scales = await floats(`${updates}.absmax${moment}`);
      expect(
        (state[`absmax${moment}`] as Float32Array).every(
          (scale, i) => Math.abs(scale - (scales[i] as number)) <= 1e-6 * (scales[i] as number),
        ),
      ).toBe(true);
    }
    // What one code more or less makes of a step of 1e-3 at most; others are equal to rounding.
    expect(difference(values, await floats(`${updates}.w`))).toBeLessThan(updates === 1 ? 1e-7 : 2e-5);
  });

  test.each([
    // Of the largest distance that a value moves: 0.8 % at most and 0.2 % on average were measured.
    ["of one size", [1], 0.02, 0.005],
    // Small moments beside ones ten thousand times as large have few codes in their block, or none: that is what 8 bits cost (52 and 8 %).
    ["of five sizes in each block", POWERS, 0.6, 0.1],
  ])("moves as AdamW in fp32 does, gradients being %s", async (_title, powers, worst, mean) => {
    const [eight, full] = [await run(AdamW8bit, UPDATES, powers), await run(AdamW, UPDATES, powers)];
    const moved = difference(full.values, spread(0));
    const sum = eight.values.reduce((total, x, i) => total + Math.abs(x - (full.values[i] as number)), 0);
    expect(difference(eight.values, full.values) / moved).toBeLessThan(worst);
    expect(sum / COUNT / moved).toBeLessThan(mean);
  });
});
