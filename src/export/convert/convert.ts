import { join } from "node:path";
import { HeirloomError } from "../../core/index.ts";
import { openFolder, writeFileAtomic, writeFolderAtomic, writeTextAtomic } from "../../core/node/index.ts";
import { basePathOf, fileIn, readModelSpec } from "../../folders/index.ts";
import {
  encodeSafetensors,
  openSafetensors,
  readJson,
  serializePeftConfig,
  type TensorFile,
  type TensorToWrite,
} from "../../formats/index.ts";
import { openAdapterSource } from "../adapter-source.ts";
import { NEW_OUTPUT, refuseExisting, throwIfStopped } from "../output.ts";
import type { ConvertRequest, ConvertResult } from "./api.ts";
import { isMlxConfig, readMlxAdapter } from "./mlx-adapter.ts";
import { toMlx } from "./to-mlx.ts";
import { toPeft } from "./to-peft.ts";

const CONFIG = "adapter_config.json";
const MLX_WEIGHTS = "adapters.safetensors";
const PEFT_WEIGHTS = "adapter_model.safetensors";

interface Written {
  readonly weights: string;
  readonly tensors: readonly TensorToWrite[];
  readonly metadata: Readonly<Record<string, string>>;
  readonly config: string;
}

async function write(request: ConvertRequest, { weights, tensors, metadata, config }: Written): Promise<void> {
  await writeFolderAtomic(
    request.output,
    async (folder) => {
      const stopRequested = (): boolean => request.signal?.aborted ?? false;
      const stoppable = tensors.map((tensor) => ({
        ...tensor,
        async *chunks() {
          throwIfStopped(stopRequested);
          yield* tensor.chunks();
        },
      }));
      await writeFileAtomic(join(folder, weights), encodeSafetensors(stoppable, metadata));
      await writeTextAtomic(join(folder, CONFIG), config);
      throwIfStopped(stopRequested);
    },
    NEW_OUTPUT,
  );
}

/** Only matrices of 2 or 4 bytes an element are transposed. @throws TENSOR_DTYPE */
function requireFloats(file: TensorFile): void {
  for (const { name, dtype } of file.tensors.values()) {
    if (["F32", "BF16", "F16"].includes(dtype)) continue;
    throw new HeirloomError("TENSOR_DTYPE", `expected a dtype of F32, F16 or BF16, found ${dtype}`, { where: `${file.name} ${name}` });
  }
}

async function peftToMlx(request: ConvertRequest): Promise<ConvertResult> {
  const { path, output, base } = request;
  const adapter = await openAdapterSource(path);
  try {
    requireFloats(adapter.tensors);
    const named = basePathOf(adapter, base);
    const spec = await readModelSpec(named);
    const form = toMlx(spec, adapter.spec, adapter.tensors);
    const config = `${JSON.stringify(form.config, null, 4)}\n`;
    await write(request, { weights: MLX_WEIGHTS, tensors: form.tensors, metadata: { format: "mlx" }, config });
    const { rank, scale, layers } = form;
    const notes = adapter.record?.config.quantization
      ? ["the adapter was trained on its base in NF4, which MLX does not have: on other weights it computes something else"]
      : [];
    const modules = form.tensors.filter(({ name }) => name.endsWith(".lora_a")).length;
    return { output, adapter: adapter.folder.name, to: "mlx", rank, scale, modules, layers, files: [MLX_WEIGHTS, CONFIG], notes };
  } finally {
    await adapter.folder.close();
  }
}

async function mlxToPeft(request: ConvertRequest): Promise<ConvertResult> {
  const { path, output, base } = request;
  const folder = await openFolder(path);
  try {
    const where = fileIn(path, CONFIG);
    const names = await folder.list();
    if (!names.includes(CONFIG) && names.includes("adapter")) {
      throw new HeirloomError("MLX_ADAPTER_INVALID", "expected an adapter of mlx-lm, found a run: its adapter is in PEFT's form already", {
        where: path,
        hint: `use ${join(path, "adapter")} as it is, or convert it with --to mlx`,
      });
    }
    const json = await readJson(await folder.open(CONFIG));
    if (!isMlxConfig(json)) {
      throw new HeirloomError(
        "MLX_ADAPTER_INVALID",
        "expected an adapter of mlx-lm (lora_parameters, num_layers), found another configuration",
        {
          where,
          hint: "an adapter of PEFT is converted with --to mlx",
        },
      );
    }
    if (!(await folder.list()).includes(MLX_WEIGHTS)) {
      throw new HeirloomError("FILE_MISSING", `expected ${MLX_WEIGHTS}, found no such file`, {
        where: path,
        hint: "adapters.npz is the form of old releases: save the adapter again with a newer mlx-lm",
      });
    }
    const file = await openSafetensors(await folder.open(MLX_WEIGHTS));
    requireFloats(file);
    const adapter = readMlxAdapter(json, where, file);
    const form = toPeft(adapter, file, base ?? null);
    const config = serializePeftConfig(form.config);
    await write(request, { weights: PEFT_WEIGHTS, tensors: form.tensors, metadata: { format: "pt" }, config });
    const scale = form.config.loraAlpha / adapter.rank;
    const notes = scale === adapter.scale ? [] : [`the scale ${adapter.scale} has no exact alpha; ${scale} is nearest`];
    return {
      output,
      adapter: path,
      to: "peft",
      rank: adapter.rank,
      scale,
      modules: adapter.modules.length,
      layers: form.layers,
      files: [PEFT_WEIGHTS, CONFIG],
      notes,
    };
  } finally {
    await folder.close();
  }
}

/**
 * Converts an adapter between the forms of PEFT and mlx-lm. The matrices are transposed, no number is changed: there and back
 * is what it was, and the effect is the same. What the other form cannot hold is refused by name.
 *
 * @throws EXPORT_UNSUPPORTED, MLX_ADAPTER_INVALID, OUTPUT_EXISTS, TENSOR_DTYPE, INTERRUPTED, and what opening an adapter throws
 * @example
 * ```ts no-run
 * await convertAdapter({ path: "runs/a", to: "mlx", output: "adapters-mlx" });
 * ```
 */
export async function convertAdapter(request: ConvertRequest): Promise<ConvertResult> {
  await refuseExisting(request.output);
  return request.to === "mlx" ? peftToMlx(request) : mlxToPeft(request);
}
