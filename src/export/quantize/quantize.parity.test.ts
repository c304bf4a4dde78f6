import { cpSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { decodeToF32, encodeFromF32, quantizeNf4, quantizeScales } from "../../codecs/index.ts";
import { memorySource } from "../../core/index.ts";
import { openSafetensors, requireTensor, type TensorFile } from "../../formats/index.ts";
import { torchMean } from "../fixtures/torch-mean.ts";
import { quantizeModel } from "../index.ts";

const VECTORS = join(import.meta.dirname, "../../../vectors");
const scratch = mkdtempSync(join(tmpdir(), "heirloom-quantize-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const open = (path: string): Promise<TensorFile> => openSafetensors(memorySource(new Uint8Array(readFileSync(path)), path));

describe("the 4-bit folder that transformers and bitsandbytes saved of the same model", () => {
  test("has the same tensors, byte for byte; only the mean of the scales is summed in torch's order there", async () => {
    cpSync(join(VECTORS, "llama-tiny/base"), join(scratch, "base"), { recursive: true });
    await quantizeModel({ path: join(scratch, "base"), output: join(scratch, "nf4"), doubleQuant: true }, { inline: true });
    const [dense, want, got] = [
      await open(join(VECTORS, "llama-tiny/base/model.safetensors")),
      await open(join(VECTORS, "llama-tiny-qlora/base-4bit/model.safetensors")),
      await open(join(scratch, "nf4/model.safetensors")),
    ];
    const table = (file: TensorFile) =>
      [...file.tensors.values()].map(({ name, dtype, shape }) => (/quant_state/.test(name) ? name : `${name} ${dtype} ${shape.join()}`));
    expect(table(got)).toEqual(table(want));
    const offset = /"nested_offset": ([^}]+)/;
    let repeated = 0;
    for (const name of want.tensors.keys()) {
      const [theirs, ours] = [await want.read(name), await got.read(name)];
      if (Buffer.compare(theirs, ours) === 0) continue;
      // What differs must be what their sum of the scales gives, to the bit: the mean itself, and the largest distance from it.
      const weight = name.replace(/\.(?:nested_absmax|quant_state\.bitsandbytes__nf4)$/, "");
      const { dtype, shape } = requireTensor(dense, weight);
      const { absmax } = quantizeNf4(decodeToF32(dtype, await dense.read(weight)), { shape });
      const mean = torchMean(absmax);
      if (name.endsWith(".nested_absmax")) {
        const { nested } = quantizeScales(absmax, mean);
        expect(Buffer.compare(theirs, encodeFromF32("F32", nested.nestedAbsmax)), name).toBe(0);
      } else {
        const [x, y] = [theirs, ours].map((bytes) => Buffer.from(bytes).toString()) as [string, string];
        expect(x.replace(offset, ""), name).toBe(y.replace(offset, ""));
        expect(Number(offset.exec(x)?.[1]), name).toBe(mean);
      }
      repeated++;
    }
    // 7 means of 21, and the largest distances that change with them; our own mean is the exact one, rounded once.
    expect(repeated).toBeGreaterThan(0);
  });
});
