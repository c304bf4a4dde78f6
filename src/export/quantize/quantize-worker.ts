import { join } from "node:path";
import { type Nf4Tensor, quantizeNf4 } from "../../codecs/index.ts";
import { HeirloomError } from "../../core/index.ts";
import { defineJob, type JobContext, writeFolderAtomic, writeTextAtomic } from "../../core/node/index.ts";
import { type ModelFolder, openModelFolder } from "../../folders/index.ts";
import { bnb4bitNames, bnb4bitTensors, pyFloat, requireTensor, type TensorFile, type TensorToWrite } from "../../formats/index.ts";
import { modelParameters, type ParameterSpec } from "../../model/index.ts";
import { carryFiles, readCarriedText } from "../carried-files.ts";
import { BaseDifference, type ExportEvent } from "../merge/index.ts";
import { editConfigText } from "../model-config.ts";
import { NEW_OUTPUT, refuseExisting, throwIfStopped } from "../output.ts";
import { writeModelShards } from "../shards.ts";
import { allRows, chunksOf, denseRows, nf4Rows } from "../tensor-rows.ts";
import type { QuantizeRequest, QuantizeResult } from "./api.ts";

/** As QLoRA, bitsandbytes and training here. */
const BLOCK_SIZE = 64;
/** Bytes of a kept tensor that are copied at a time. */
const COPY_BYTES = 16 << 20;

/** torch's names of the dtypes that a weight can have; others are widened to fp32 before they are quantized. */
const TORCH_DTYPES: Readonly<Record<string, string>> = { F32: "float32", BF16: "bfloat16", F16: "float16" };

type Context = JobContext<ExportEvent>;

function refuseQuantized({ tensors, folder }: ModelFolder): void {
  if (bnb4bitNames(tensors).length === 0) return;
  throw new HeirloomError("QUANTIZATION_UNSUPPORTED", "expected dense weights, found weights that are in 4 bits already", {
    where: folder.name,
    hint: "name the dense model; quantizing twice only loses more",
  });
}

/** Quantizes the linear layers of one model; holds one layer at a time. */
class Quantizer {
  readonly difference = new BaseDifference();
  readonly #file: TensorFile;
  readonly #doubleQuant: boolean;
  readonly #context: Context;
  readonly #total: number;
  #done = 0;
  #last: { readonly name: string; readonly tensor: Nf4Tensor } | null = null;

  constructor(file: TensorFile, request: QuantizeRequest, context: Context, weights: number) {
    this.#file = file;
    this.#doubleQuant = request.doubleQuant ?? false;
    this.#context = context;
    // With double quantization each weight is quantized once more, ahead: the mean of its scales stands in the file's header.
    this.#total = weights * (this.#doubleQuant ? 2 : 1);
  }

  /** The NF4 form of a weight; that of the last one asked for is kept, since its two tensors lie side by side in the file. */
  async #quantize({ name, shape }: ParameterSpec): Promise<Nf4Tensor> {
    if (this.#last?.name === name) return this.#last.tensor;
    throwIfStopped(this.#context.stopRequested);
    const values = await allRows(denseRows(this.#file, name, shape));
    const tensor = quantizeNf4(values, { shape, blockSize: BLOCK_SIZE, doubleQuant: this.#doubleQuant });
    this.#last = { name, tensor };
    return tensor;
  }

  #tell(): void {
    this.#context.emit({ type: "export", phase: "quantizing", done: ++this.#done, total: this.#total });
  }

  async #measure(parameter: ParameterSpec, tensor: Nf4Tensor): Promise<void> {
    const dense = denseRows(this.#file, parameter.name, parameter.shape);
    const packed = nf4Rows(tensor);
    for await (const { start, values } of chunksOf(packed)) {
      const original = await dense.rows(start, start + values.length / packed.columns);
      this.difference.add(parameter.module, values, original, start === 0);
    }
  }

  async weight(parameter: ParameterSpec): Promise<TensorToWrite[]> {
    const { name, shape } = parameter;
    const dtype = TORCH_DTYPES[requireTensor(this.#file, name).dtype] ?? "float32";
    const nested = this.#doubleQuant ? ((await this.#quantize(parameter)).nested ?? null) : null;
    if (nested !== null) this.#tell();
    let isMeasured = false;
    return bnb4bitTensors({ name, shape, blockSize: BLOCK_SIZE, dtype, nested }, async () => {
      const tensor = await this.#quantize(parameter);
      if (!isMeasured) {
        isMeasured = true;
        await this.#measure(parameter, tensor);
        this.#tell();
      }
      return tensor;
    });
  }

  /** A tensor that stays as it is, byte for byte. */
  kept({ name, shape }: ParameterSpec): TensorToWrite {
    const entry = requireTensor(this.#file, name);
    denseRows(this.#file, name, shape); // refuses another shape
    const file = this.#file;
    const { stopRequested } = this.#context;
    const bytes = entry.end - entry.start;
    return {
      name,
      dtype: entry.dtype,
      shape: entry.shape,
      async *chunks() {
        for (let at = 0; at < bytes; at += COPY_BYTES) {
          throwIfStopped(stopRequested);
          yield await file.readRange(name, at, Math.min(bytes, at + COPY_BYTES));
        }
      },
    };
  }
}

/** `quantization_config` as transformers 5 writes it for `load_in_4bit` with NF4. */
function quantizationConfig(doubleQuant: boolean, computeDtype: string): Record<string, unknown> {
  return {
    _load_in_4bit: true,
    _load_in_8bit: false,
    bnb_4bit_compute_dtype: computeDtype,
    bnb_4bit_quant_storage: "uint8",
    bnb_4bit_quant_type: "nf4",
    bnb_4bit_use_double_quant: doubleQuant,
    llm_int8_enable_fp32_cpu_offload: false,
    llm_int8_has_fp16_weight: false,
    llm_int8_skip_modules: null,
    llm_int8_threshold: pyFloat(6),
    load_in_4bit: true,
    load_in_8bit: false,
    quant_method: "bitsandbytes",
  };
}

async function quantizeFolder(request: QuantizeRequest, model: ModelFolder, context: Context): Promise<QuantizeResult> {
  const began = performance.now();
  const { tensors, spec, folder: source } = model;
  refuseQuantized(model);
  const doubleQuant = request.doubleQuant ?? false;
  const parameters = modelParameters(spec).filter(({ tiedTo }) => tiedTo === undefined);
  const linear = parameters.filter(({ kind }) => kind === "linear");
  const quantizer = new Quantizer(tensors, request, context, linear.length);
  let result: QuantizeResult | undefined;
  await writeFolderAtomic(
    request.output,
    async (folder) => {
      // What is refused here is so before anything is quantized.
      const text = await readCarriedText(source, "config.json");
      const carried = await carryFiles(source, null, folder);
      const plan: TensorToWrite[] = [];
      for (const parameter of parameters)
        plan.push(...(parameter.kind === "linear" ? await quantizer.weight(parameter) : [quantizer.kept(parameter)]));
      const written = await writeModelShards(folder, plan, request.maxShardBytes);
      // Transformers computes in this dtype; the model's own is what it computes in elsewhere.
      const changes = { quantization_config: quantizationConfig(doubleQuant, spec.torchDtype ?? "float32") };
      await writeTextAtomic(join(folder, "config.json"), editConfigText(text, source.name, changes));
      throwIfStopped(context.stopRequested);
      const sizes = parameters.map(({ name }) => requireTensor(tensors, name)).map(({ start, end }) => end - start);
      result = {
        output: request.output,
        model: source.name,
        doubleQuant,
        quantized: linear.length,
        kept: parameters.length - linear.length,
        bytes: { before: sizes.reduce((sum, size) => sum + size, 0), after: written.bytes },
        files: [...written.files, "config.json", ...carried.files],
        difference: quantizer.difference.groups,
        seconds: (performance.now() - began) / 1000,
      };
    },
    NEW_OUTPUT,
  );
  return result as QuantizeResult;
}

/** Writes a model in 4 bits. */
export const quantizeJob = defineJob<QuantizeRequest, ExportEvent, QuantizeResult>(import.meta.url, async (request, context) => {
  await refuseExisting(request.output);
  const model = await openModelFolder(request.path);
  try {
    return await quantizeFolder(request, model, context);
  } finally {
    await model.folder.close();
  }
});
