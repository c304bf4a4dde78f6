// Logits of an adapter on its base, as the engine has them, for another library to compare with.
import { encodeFromF32 } from "../src/codecs/index.ts";
import { writeFileAtomic } from "../src/core/node/index.ts";
import { encodeSafetensors } from "../src/formats/index.ts";
import { loadModel } from "../src/generate/index.ts";

/** Writes `logits`, F32 [rows, tokens, vocabulary], of rows of token ids that are padded at their ends. */
export async function writeAdapterLogits(adapter: string, base: string, rows: readonly (readonly number[])[], path: string): Promise<void> {
  const { model } = await loadModel(adapter, base);
  const sequence = Math.max(...rows.map((row) => row.length));
  const at = <T>(value: (row: readonly number[], i: number) => T): T[] =>
    rows.flatMap((row) => Array.from({ length: sequence }, (_, i) => value(row, i)));
  const logits = await model.logits({
    batch: rows.length,
    sequence,
    inputIds: Int32Array.from(at((row, i) => row[i] ?? 0)),
    labels: new Int32Array(rows.length * sequence).fill(-100),
    positions: Int32Array.from(at((_, i) => i)),
    segments: Int32Array.from(at((row, i) => (i < row.length ? 1 : 0))),
    tokenCount: rows.reduce((sum, row) => sum + row.length, 0),
    labelTokenCount: 0,
    examples: [],
  });
  const shape = [rows.length, sequence, model.spec.vocabSize];
  await writeFileAtomic(
    path,
    encodeSafetensors([{ name: "logits", dtype: "F32", shape, chunks: () => [encodeFromF32("F32", logits)] }], {}),
  );
  await model.dispose();
}
