// The same model as a GGUF file of F32: what is left between llama.cpp and us then is arithmetic, not rounding of activations.
import { dequantizeGguf, encodeFromF32, type ReadableGgmlType } from "../../src/codecs/index.ts";
import { openFile, writeFileAtomic } from "../../src/core/node/index.ts";
import { encodeGguf, readGgufHeader } from "../../src/formats/index.ts";

/** Writes every tensor of a GGUF file as F32. */
export async function writePlainGguf(from: string, to: string): Promise<string> {
  const source = await openFile(from);
  try {
    const { metadata, tensors } = await readGgufHeader(source);
    const plain = [...tensors.values()].map(({ name, shape, type, start, end }) => ({
      name,
      shape,
      type: "F32" as const,
      async *chunks() {
        yield encodeFromF32("F32", dequantizeGguf(type as ReadableGgmlType, await source.read(start, end)));
      },
    }));
    await writeFileAtomic(to, encodeGguf(metadata, plain));
    return to;
  } finally {
    await source.close();
  }
}
