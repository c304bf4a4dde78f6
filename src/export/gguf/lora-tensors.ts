import { type AdapterSpec, PEFT_PREFIX, resolveTargets } from "../../adapter/index.ts";
import { HeirloomError, ProblemList } from "../../core/index.ts";
import type { GgufToWrite, TensorFile } from "../../formats/index.ts";
import { ggufTensorName, type ModelSpec, permutedHeads } from "../../model/index.ts";
import { adapterValues, CHANGES_BASE, checkTensors } from "../merge/index.ts";
import type { GgufFamily } from "./model-metadata.ts";
import { encodeBlocks } from "./model-tensors.ts";
import { permuteRows } from "./permute.ts";

/** An adapter as llama.cpp loads it: its alpha, and pairs of matrices. */
export interface GgufLora {
  readonly alpha: number;
  readonly tensors: readonly GgufToWrite[];
  /** Modules whose B was multiplied, because they have a scaling of their own. */
  readonly folded: number;
}

/** Everything that GGUF's form of an adapter cannot hold, by PEFT's name. */
function refuseFeatures(spec: ModelSpec, adapter: AdapterSpec, resolved: ReturnType<typeof resolveTargets>, where: string): void {
  const problems = new ProblemList();
  const hint = "export the merged model instead, without --lora";
  const refuse = (feature: string, why: string): void =>
    problems.add("EXPORT_UNSUPPORTED", `${feature}: ${why}`, { where, hint, details: { feature } });
  const { initLoraWeights: init } = adapter;
  if (resolved.fullCopies.length > 0)
    refuse("modules_to_save", `a GGUF adapter holds no full copies (${adapter.modulesToSave.join(", ")})`);
  if (resolved.tokenRows.length > 0) refuse("trainable_token_indices", "a GGUF adapter holds no trained rows");
  if (resolved.extras.magnitude) refuse("use_dora", "llama.cpp does not compute DoRA");
  if (resolved.extras.loraBias !== null) refuse("lora_bias", "a GGUF adapter holds no biases");
  if (resolved.storedBase.some(({ trained }) => trained)) refuse("bias", "a GGUF adapter holds no biases");
  if (adapter.aloraInvocationTokens !== null) refuse("alora_invocation_tokens", "activated LoRA is not exported");
  if (typeof init === "string" && CHANGES_BASE.test(init)) refuse("init_lora_weights", `"${init}" belongs to changed base weights`);
  const embedding = resolved.lora.find(({ kind }) => kind === "Embedding");
  if (embedding !== undefined) refuse("target_modules", `LoRA on the embedding "${embedding.module}" is not exported`);
  if (spec.tieWordEmbeddings && resolved.lora.some(({ module }) => module === "lm_head"))
    refuse("target_modules", "LoRA on a head that is tied to the embedding: llama.cpp has no tensor of its own for it");
  problems.throwIfAny();
}

/**
 * An adapter as llama.cpp's `--lora` takes it. There the factor on B·A is alpha / rank for all of it, so that a module with
 * another scaling has its B multiplied, which rounds.
 *
 * @throws EXPORT_UNSUPPORTED by name for what it cannot hold; ADAPTER_INCOMPATIBLE, TENSOR_SHAPE
 */
export function loraTensors(spec: ModelSpec, adapter: AdapterSpec, family: GgufFamily, file: TensorFile, onTensor: () => void): GgufLora {
  const resolved = resolveTargets(spec, adapter);
  refuseFeatures(spec, adapter, resolved, file.name);
  checkTensors(resolved, file);
  const [first] = resolved.lora;
  if (first === undefined) throw new HeirloomError("EXPORT_UNSUPPORTED", "the adapter has no LoRA matrices", { where: file.name });
  const alpha = Math.fround(first.scaling * first.rank);
  let folded = 0;
  const tensors = resolved.lora.flatMap(({ module, rank, scaling, inFeatures, outFeatures }): GgufToWrite[] => {
    const path = PEFT_PREFIX + module;
    const name = ggufTensorName(`${module}.weight`) ?? module;
    const permutes = family.permutes && permutedHeads(`${module}.weight`) !== null;
    const factor = (scaling * rank) / alpha;
    // Where alpha itself is rounded to fp32, that is within its last place and no scaling of its own.
    const isOwn = Math.abs(factor - 1) > 2 ** -23;
    if (isOwn) folded++;
    return [
      {
        name: `${name}.lora_a`,
        type: "F32",
        shape: [rank, inFeatures],
        async *chunks() {
          yield encodeBlocks("F32", await adapterValues(file, `${path}.lora_A.weight`), `${module}.lora_A`);
        },
      },
      {
        name: `${name}.lora_b`,
        type: "F32",
        shape: [outFeatures, rank],
        async *chunks() {
          const stored = await adapterValues(file, `${path}.lora_B.weight`);
          const values = isOwn ? stored.map((value) => value * factor) : stored;
          yield encodeBlocks("F32", permutes ? permuteRows(values, rank, spec.headDim) : values, `${module}.lora_B`);
          onTensor();
        },
      },
    ];
  });
  return { alpha, tensors, folded };
}
