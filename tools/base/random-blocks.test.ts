import { expect, it } from "vitest";
import { dequantizeNf4 } from "../../src/codecs/index.ts";
import { memorySource, RandomStream } from "../../src/core/index.ts";
import { encodeSafetensors, openSafetensors, readBnb4bit } from "../../src/formats/index.ts";
import { RandomBlocks } from "./random-blocks.ts";

const DEVIATION = 0.02;

async function bytesOf(blocks: RandomBlocks, name: string, shape: readonly number[]): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  const tensors = blocks.tensors({ name, module: name, shape, kind: "linear", layer: 0 });
  for await (const part of encodeSafetensors(tensors)) parts.push(part);
  return new Uint8Array(Buffer.concat(parts));
}

it("writes 4-bit weights that are read back as normal numbers of the deviation asked for, the same for the same name", async () => {
  const stream = new RandomStream(0, "normals");
  const normals = Float32Array.from({ length: 1 << 16 }, () => DEVIATION * stream.nextNormal());
  const blocks = new RandomBlocks(normals, 7);
  const bytes = await bytesOf(blocks, "w", [200, 320]); // 3.9 groups: the last one is cut
  const tensor = await readBnb4bit(await openSafetensors(memorySource(bytes)), "w");
  const values = new Float32Array(200 * 320);
  dequantizeNf4(tensor, values);
  const deviation = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length);
  // 4-bit rounding adds about 1 % to the deviation of 64,000 numbers, and chance half of that.
  expect(Math.abs(deviation / DEVIATION - 1)).toBeLessThan(0.03);
  expect(Buffer.compare(bytes, await bytesOf(blocks, "w", [200, 320]))).toBe(0);
  expect(Buffer.compare(bytes, await bytesOf(blocks, "v", [200, 320]))).not.toBe(0);
});
