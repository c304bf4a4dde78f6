import { HeirloomError, ProblemList } from "../../core/index.ts";
import type { GgufValue } from "../../formats/index.ts";
import { GGUF_ARCHITECTURES, type ModelSpec } from "../../model/index.ts";
import type { GgufType } from "./api.ts";

/** What a family of models is called in GGUF, and whether llama.cpp wants the rows of q and k in its own order. */
export interface GgufFamily {
  readonly name: string;
  readonly permutes: boolean;
}

/** Mistral's blocks are Llama's; what it has besides (a window) is refused. */
const SAME_AS: Readonly<Record<string, string>> = { mistral: "llama" };

/** `enum llama_ftype` of llama.h. */
const FILE_TYPES: Readonly<Record<GgufType, number>> = { f16: 1, q8_0: 7, bf16: 32 };

/** @throws EXPORT_UNSUPPORTED for what llama.cpp's model of the family does not compute */
export function familyOf(spec: ModelSpec, where: string): GgufFamily {
  const wanted = SAME_AS[spec.architecture] ?? spec.architecture;
  const found = Object.entries(GGUF_ARCHITECTURES).find(([, { architecture }]) => architecture === wanted);
  const problems = new ProblemList();
  const refuse = (feature: string, what: string): void =>
    problems.add("EXPORT_UNSUPPORTED", what, { where, hint: "use the model folder with other tools", details: { feature } });
  if (found === undefined) refuse("architecture", `the architecture "${spec.architecture}" has no counterpart in GGUF here`);
  const window = spec.slidingWindows.find((size) => size !== null && size < spec.maxPositions);
  if (window !== undefined && window !== null) {
    problems.add(
      "EXPORT_UNSUPPORTED",
      `a sliding window: layers see the last ${window} of ${spec.maxPositions} positions, and llama.cpp's models of this family see all of them, so that longer texts would give other logits`,
      {
        where,
        hint: `within ${window} tokens both are the same: export a copy of the folder whose config.json has max_position_embeddings ${window}`,
        details: { feature: "sliding_window", window, maxPositions: spec.maxPositions },
      },
    );
  }
  problems.throwIfAny();
  if (found === undefined) throw new HeirloomError("EXPORT_UNSUPPORTED", spec.architecture);
  return { name: found[0], permutes: found[1].permutes };
}

/** The metadata that llama.cpp builds its model from, as its converter writes them. */
export function modelMetadata(spec: ModelSpec, { name }: GgufFamily, title: string, type: GgufType): [string, GgufValue][] {
  const u32 = (value: number): GgufValue => ({ type: "UINT32", value });
  const f32 = (value: number): GgufValue => ({ type: "FLOAT32", value });
  const text = (value: string): GgufValue => ({ type: "STRING", value });
  const { rope } = spec;
  const scaling: [string, GgufValue][] =
    rope.scaling.kind === "linear"
      ? [
          [`${name}.rope.scaling.type`, text("linear")],
          [`${name}.rope.scaling.factor`, f32(rope.scaling.factor)],
        ]
      : [];
  return [
    ["general.architecture", text(name)],
    ["general.type", text("model")],
    ["general.name", text(title)],
    ["general.file_type", u32(FILE_TYPES[type])],
    ["general.quantization_version", u32(2)],
    [`${name}.block_count`, u32(spec.layerCount)],
    [`${name}.context_length`, u32(spec.maxPositions)],
    [`${name}.embedding_length`, u32(spec.hiddenSize)],
    [`${name}.feed_forward_length`, u32(spec.intermediateSize)],
    [`${name}.attention.head_count`, u32(spec.headCount)],
    [`${name}.attention.head_count_kv`, u32(spec.kvHeadCount)],
    [`${name}.attention.key_length`, u32(spec.headDim)],
    [`${name}.attention.value_length`, u32(spec.headDim)],
    [`${name}.attention.layer_norm_rms_epsilon`, f32(spec.rmsNormEps)],
    [`${name}.rope.dimension_count`, u32(spec.headDim)],
    [`${name}.rope.freq_base`, f32(rope.theta)],
    ...scaling,
    [`${name}.vocab_size`, u32(spec.vocabSize)],
  ];
}
