import { type AdapterSpec, PEFT_PREFIX, type ResolvedAdapter, resolveTargets } from "../../adapter/index.ts";
import { HeirloomError, ProblemList } from "../../core/index.ts";
import { requireTensor, type TensorFile, type TensorToWrite } from "../../formats/index.ts";
import type { ModelSpec } from "../../model/index.ts";
import { CHANGES_BASE, checkTensors } from "../merge/index.ts";
import { transposeBytes } from "./transpose.ts";

/** An adapter in mlx-lm's form, ready to be written. */
export interface MlxForm {
  readonly tensors: readonly TensorToWrite[];
  readonly config: Readonly<Record<string, unknown>>;
  readonly rank: number;
  readonly scale: number;
  readonly layers: number;
}

const MERGE_HINT = "merge the adapter and convert the model: heirloom merge ADAPTER -o DIR";

/** Everything that mlx-lm has no word for, by PEFT's name. */
function refuseFeatures(adapter: AdapterSpec, resolved: ResolvedAdapter): void {
  const problems = new ProblemList();
  const refuse = (feature: string, why: string): void =>
    problems.add("EXPORT_UNSUPPORTED", `${feature}: ${why}`, { hint: MERGE_HINT, details: { feature } });
  const { initLoraWeights: init } = adapter;
  if (resolved.fullCopies.length > 0)
    refuse("modules_to_save", `mlx-lm adapters hold no full copies (${adapter.modulesToSave.join(", ")})`);
  if (resolved.tokenRows.length > 0) refuse("trainable_token_indices", "mlx-lm adapters hold no trained rows");
  if (resolved.storedBase.some(({ trained }) => trained)) refuse("bias", "mlx-lm adapters hold no biases");
  if (resolved.extras.loraBias !== null) refuse("lora_bias", "mlx-lm's lora_b has no bias");
  if (adapter.aloraInvocationTokens !== null) refuse("alora_invocation_tokens", "mlx-lm's adapters work on all tokens");
  if (typeof init === "string" && CHANGES_BASE.test(init)) refuse("init_lora_weights", `"${init}" belongs to changed base weights`);
  const outside = resolved.lora.find(({ layer }) => layer === null);
  if (outside !== undefined) refuse("target_modules", `"${outside.module}" lies in no layer; only modules of layers are converted`);
  const [first] = resolved.lora;
  const odd = resolved.lora.find(({ rank, scaling }) => rank !== first?.rank || scaling !== first.scaling);
  if (odd !== undefined && first !== undefined) {
    const figures = `"${odd.module}" has rank ${odd.rank} and scaling ${odd.scaling}, "${first.module}" ${first.rank} and ${first.scaling}`;
    refuse(odd.rank === first.rank ? "alpha_pattern" : "rank_pattern", `mlx-lm has one rank and one scale for all modules; ${figures}`);
  }
  problems.throwIfAny();
}

/** The part of a module's path after its layer: `self_attn.q_proj`. */
const insideLayer = (module: string): string => module.replace(/^.*?\.layers\.\d+\./, "");

/** The names inside a layer and the number of layers from the last; refuses what is no block of layers at the end. */
function chooseLayers(resolved: ResolvedAdapter, spec: ModelSpec): { keys: string[]; layers: number } {
  const byLayer = new Map<number, string[]>();
  for (const { module, layer } of resolved.lora) byLayer.set(layer ?? -1, [...(byLayer.get(layer ?? -1) ?? []), insideLayer(module)]);
  const numbers = [...byLayer.keys()].sort((a, b) => a - b);
  const layers = numbers.length;
  const refuse = (feature: string, why: string): HeirloomError =>
    new HeirloomError("EXPORT_UNSUPPORTED", `${feature}: ${why}`, { hint: MERGE_HINT, details: { feature, layers: numbers } });
  if (numbers.some((layer, i) => layer !== spec.layerCount - layers + i)) {
    throw refuse(
      "layers_to_transform",
      `mlx-lm adapts the last layers of a model; of ${spec.layerCount} these are adapted: ${numbers.join(", ")}`,
    );
  }
  const keys = byLayer.get(numbers[0] ?? 0) ?? [];
  const odd = numbers.find((layer) => (byLayer.get(layer) ?? []).join() !== keys.join());
  if (odd !== undefined)
    throw refuse("target_modules", `mlx-lm adapts the same modules in every layer; layer ${odd} has others than layer ${numbers[0] ?? 0}`);
  return { keys, layers };
}

/**
 * An adapter in mlx-lm's form: the same numbers, transposed.
 *
 * @throws EXPORT_UNSUPPORTED by name for what that form cannot hold; ADAPTER_INCOMPATIBLE, TENSOR_SHAPE
 */
export function toMlx(spec: ModelSpec, adapter: AdapterSpec, file: TensorFile): MlxForm {
  const resolved = resolveTargets(spec, adapter);
  refuseFeatures(adapter, resolved);
  checkTensors(resolved, file);
  const { keys, layers } = chooseLayers(resolved, spec);
  const [first] = resolved.lora;
  if (first === undefined) throw new HeirloomError("EXPORT_UNSUPPORTED", "the adapter has no LoRA matrices", { where: file.name });
  const transposed = (key: string, name: string): TensorToWrite => {
    const { dtype, shape } = requireTensor(file, key);
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
  const tensors = resolved.lora.flatMap(({ module }): TensorToWrite[] => {
    const path = PEFT_PREFIX + module;
    const pair = [transposed(`${path}.lora_A.weight`, `${module}.lora_a`), transposed(`${path}.lora_B.weight`, `${module}.lora_b`)];
    if (!resolved.extras.magnitude) return pair;
    const key = `${path}.lora_magnitude_vector`;
    const { dtype, shape } = requireTensor(file, key);
    return [
      ...pair,
      {
        name: `${module}.m`,
        dtype,
        shape,
        chunks: async function* () {
          yield await file.read(key);
        },
      },
    ];
  });
  const { rank, scaling: scale } = first;
  const config = {
    fine_tune_type: adapter.useDora ? "dora" : "lora",
    ...(adapter.baseModel === null ? {} : { model: adapter.baseModel }),
    num_layers: layers,
    lora_parameters: { rank, scale, dropout: adapter.dropout, keys },
  };
  return { tensors, config, rank, scale, layers };
}
