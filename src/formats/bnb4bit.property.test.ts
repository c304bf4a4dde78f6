import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { it } from "vitest";
import { isHeirloomError, memorySource } from "../core/index.ts";
import { bnb4bitNames, openSafetensors, readBnb4bit } from "./index.ts";

const original = readFileSync(join(import.meta.dirname, "../../vectors/llama-tiny-qlora/base-4bit/model.safetensors"));
const [name] = bnb4bitNames(await openSafetensors(memorySource(original))) as [string];
const state = (await openSafetensors(memorySource(original))).tensors.get(`${name}.quant_state.bitsandbytes__nf4`);

it("gives only typed errors for a quantization state with random bytes changed", async () => {
  const start = state?.start ?? 0;
  const end = state?.end ?? 0;
  const change = fc.tuple(fc.integer({ min: start, max: end - 1 }), fc.nat(255));
  await fc.assert(
    fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 4 }), async (changes) => {
      const bytes = new Uint8Array(original);
      for (const [at, value] of changes) bytes[at] = value;
      try {
        await readBnb4bit(await openSafetensors(memorySource(bytes)), name);
      } catch (error) {
        if (!isHeirloomError(error) || error.code === "INTERNAL") throw error;
      }
    }),
    { numRuns: 300 },
  );
});
