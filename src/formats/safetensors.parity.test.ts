import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { memorySource } from "../core/index.ts";
import { joined } from "./fixtures/bytes.ts";
import { encodeSafetensors, openSafetensors } from "./index.ts";

/** Written by the Python library, 0.8.0. */
const VECTORS = join(import.meta.dirname, "../../vectors");
const files = readdirSync(VECTORS, { recursive: true, encoding: "utf8" })
  .filter((path) => path.endsWith(".safetensors"))
  .sort();

it("finds the files that Python wrote", () => {
  expect(files.length).toBeGreaterThan(20);
});

it.each(files)("writes %s again, byte for byte", async (path) => {
  const bytes = readFileSync(join(VECTORS, path));
  const file = await openSafetensors(memorySource(bytes, path));
  // Backwards, so that the order comes from the encoder.
  const tensors = [...file.tensors.values()].reverse().map(({ name, dtype, shape }) => ({
    name,
    dtype,
    shape,
    async *chunks() {
      yield await file.read(name);
    },
  }));
  const again = await joined(encodeSafetensors(tensors, file.metadata));
  expect(Buffer.from(again).equals(bytes)).toBe(true);
});
