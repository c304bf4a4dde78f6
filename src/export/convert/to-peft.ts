import { PEFT_PREFIX, PEFT_VERSION } from "../../adapter/index.ts";
import { HeirloomError } from "../../core/index.ts";
import { type LoraPeftConfig, loraPeftConfig, type StoredTensor, type TensorFile, type TensorToWrite } from "../../formats/index.ts";
import { alphaFor } from "./alpha.ts";
import type { MlxAdapter } from "./mlx-adapter.ts";
import { transposeBytes } from "./transpose.ts";

/** An adapter in PEFT's form, ready to be written. */
export interface PeftForm {
  readonly tensors: readonly TensorToWrite[];
  readonly config: LoraPeftConfig;
  readonly layers: number;
}

const LAYER = /^(.*?\.layers)\.(\d+)\.(.+)$/;

/** Modules of one name in every layer that has any; PEFT's lists of names and layers mean nothing else. */
function chooseTargets({ modules }: MlxAdapter, where: string): { targets: string[]; layers: number[] } {
  const byLayer = new Map<number, Set<string>>();
  for (const { path } of modules) {
    const match = LAYER.exec(path);
    if (match === null) {
      throw new HeirloomError("EXPORT_UNSUPPORTED", `"${path}" lies in no layer; only modules of layers are converted`, {
        where,
        hint: "train without embeddings and head among the keys, or fuse the adapter with mlx_lm.fuse",
        details: { feature: "keys", module: path },
      });
    }
    const layer = Number(match[2]);
    byLayer.set(layer, (byLayer.get(layer) ?? new Set()).add(match[3] ?? ""));
  }
  const layers = [...byLayer.keys()].sort((a, b) => a - b);
  const targets = [...(byLayer.get(layers[0] ?? 0) ?? [])].sort();
  const odd = layers.find((layer) => [...(byLayer.get(layer) ?? [])].sort().join() !== targets.join());
  if (odd !== undefined) {
    throw new HeirloomError(
      "MLX_ADAPTER_INVALID",
      `expected the same modules in every layer, found others in layer ${odd} than in layer ${layers[0]}`,
      { where },
    );
  }
  return { targets, layers };
}

/**
 * An mlx-lm adapter in PEFT's form: the same numbers, transposed.
 *
 * @param base what the adapter's configuration is to name; null: as mlx-lm's does
 * @throws EXPORT_UNSUPPORTED, MLX_ADAPTER_INVALID
 */
export function toPeft(adapter: MlxAdapter, file: TensorFile, base: string | null): PeftForm {
  const { targets, layers } = chooseTargets(adapter, file.name);
  const transposed = ({ name: key, dtype, shape }: StoredTensor, name: string): TensorToWrite => {
    const [rows = 0, columns = 0] = shape;
    return {
      name,
      dtype,
      shape: [columns, rows],
      chunks: async function* () {
        yield transposeBytes(await file.read(key), rows, columns);
      },
    };
  };
  const tensors = adapter.modules.flatMap(({ path, a, b, m }): TensorToWrite[] => {
    const own = PEFT_PREFIX + path;
    const pair = [transposed(a, `${own}.lora_A.weight`), transposed(b, `${own}.lora_B.weight`)];
    if (m === null) return pair;
    return [
      ...pair,
      {
        name: `${own}.lora_magnitude_vector`,
        dtype: m.dtype,
        shape: m.shape,
        chunks: async function* () {
          yield await file.read(m.name);
        },
      },
    ];
  });
  const config = loraPeftConfig({
    taskType: "CAUSAL_LM",
    peftVersion: PEFT_VERSION,
    baseModelNameOrPath: base ?? adapter.model,
    inferenceMode: true,
    r: adapter.rank,
    loraAlpha: alphaFor(adapter.scale, adapter.rank),
    loraDropout: adapter.dropout,
    useDora: adapter.isDora,
    targetModules: targets,
    layersToTransform: layers,
  });
  return { tensors, config, layers: layers.length };
}
