// Writes a model folder of any supported shape with random weights: the start of the base's pre-training, and the models of
// benchmarks. Matrices are normal with the config's initializer_range, norms are 1, biases 0, as transformers begins.
//
//   node --import ./tools/register-typescript.mjs tools/base/random-model.ts --config bench/configs/smollm2-135m.json \
//     --out /tmp/smollm2-135m [--seed 0] [--dtype BF16|F32] [--nf4]
//
// With --nf4 the linear layers are written in 4 bits, as bitsandbytes saves them (8B: 5.6 GB in about a minute).
import { join } from "node:path";
import { parseArgs } from "node:util";
import { f32ToBf16 } from "../../src/codecs/index.ts";
import { InternalError, nameKey, philox, RandomStream } from "../../src/core/index.ts";
import { openFile, writeFileAtomic, writeTextAtomic } from "../../src/core/node/index.ts";
import { encodeSafetensors, readJson, type TensorToWrite } from "../../src/formats/index.ts";
import { modelParameters, type ParameterSpec, parseModelConfig } from "../../src/model/index.ts";
import { QUANTIZATION_CONFIG, RandomBlocks } from "./random-blocks.ts";

const CHUNK_VALUES = 1 << 20;
// Weights are picked from a table of this many normal numbers: thousands of times as many weights are then drawn in seconds,
// and nothing that a benchmark or a training run measures can tell.
const TABLE_VALUES = 1 << 16;

type Dtype = "BF16" | "F32";

function normalTable(seed: number, deviation: number): Float32Array {
  const stream = new RandomStream(seed, "random-model");
  return Float32Array.from({ length: TABLE_VALUES }, () => deviation * stream.nextNormal());
}

const toBytes = (values: Float32Array, dtype: Dtype): Uint8Array => {
  const encoded = dtype === "BF16" ? f32ToBf16(values) : values.slice();
  return new Uint8Array(encoded.buffer, encoded.byteOffset, encoded.byteLength);
};

/** The bytes of one parameter; a tensor's values depend on the seed and its name only. */
function* chunksOf(parameter: ParameterSpec, table: Float32Array, seed: number, dtype: Dtype): Generator<Uint8Array> {
  const count = parameter.shape.reduce((product, size) => product * size, 1);
  const key = nameKey(parameter.name);
  const words = new Uint32Array(4);
  const halves = new Uint16Array(words.buffer);
  const constant = parameter.kind === "norm" ? 1 : parameter.kind === "bias" ? 0 : null;
  for (let start = 0; start < count; start += CHUNK_VALUES) {
    const values = new Float32Array(Math.min(CHUNK_VALUES, count - start));
    for (let i = 0; i < values.length; i++) {
      if (constant === null && i % halves.length === 0) philox((start + i) / halves.length, 0, 0, 0, seed, key, words);
      values[i] = constant ?? (table[halves[i % halves.length] as number] as number);
    }
    yield toBytes(values, dtype);
  }
}

interface Flags {
  readonly config: string;
  readonly out: string;
  readonly seed: number;
  readonly dtype: Dtype;
  readonly nf4: boolean;
}

function readFlags(): Flags {
  const { values } = parseArgs({
    options: {
      config: { type: "string" },
      out: { type: "string" },
      seed: { type: "string", default: "0" },
      dtype: { type: "string", default: "BF16" },
      nf4: { type: "boolean", default: false },
    },
  });
  const { config, out, dtype, nf4 } = values;
  const seed = Number(values.seed);
  if (config === undefined || out === undefined || !Number.isSafeInteger(seed) || (dtype !== "BF16" && dtype !== "F32")) {
    throw new InternalError("usage: random-model.ts --config FILE --out FOLDER [--seed WHOLE_NUMBER] [--dtype BF16|F32] [--nf4]");
  }
  return { config, out, seed, dtype, nf4 };
}

async function main(): Promise<void> {
  const { config: path, out, seed, dtype, nf4 } = readFlags();
  const source = await openFile(path);
  const config = (await readJson(source)) as Record<string, unknown>;
  await source.close();
  const stored = modelParameters(parseModelConfig(config, path)).filter((parameter) => parameter.tiedTo === undefined);
  const table = normalTable(seed, Number(config["initializer_range"] ?? 0.02));
  const blocks = nf4 ? new RandomBlocks(table, seed) : null;
  const tensors = stored.flatMap((parameter): TensorToWrite[] => {
    if (blocks !== null && parameter.kind === "linear") return blocks.tensors(parameter);
    return [{ name: parameter.name, dtype, shape: parameter.shape, chunks: () => chunksOf(parameter, table, seed, dtype) }];
  });
  await writeFileAtomic(join(out, "model.safetensors"), encodeSafetensors(tensors, { format: "pt" }));
  const written = nf4 ? { ...config, quantization_config: QUANTIZATION_CONFIG } : config;
  await writeTextAtomic(join(out, "config.json"), `${JSON.stringify(written, null, 2)}\n`);
  const parameters = stored.reduce((sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1), 0);
  process.stdout.write(
    `${out}: ${tensors.length} tensors, ${parameters.toLocaleString("en")} parameters, ${nf4 ? "NF4 and " : ""}${dtype}\n`,
  );
}

await main();
