import { type AdapterSpec, adapterTensors, PEFT_PREFIX, type ResolvedAdapter, resolveTargets } from "../../adapter/index.ts";
import { ProblemList } from "../../core/index.ts";
import type { TensorFile } from "../../formats/index.ts";
import { INPUT_EMBEDDING, type ModelSpec, modelParameters, OUTPUT_EMBEDDING, type ParameterSpec } from "../../model/index.ts";
import { refuseUnmergeable } from "./refusals.ts";

/** A pair of LoRA matrices by their keys in the adapter's file. */
export interface LoraRecipe {
  readonly a: string;
  readonly b: string;
  readonly scaling: number;
  /** A is [rank, rows] and B [width, rank]: the product is transposed. */
  readonly isEmbedding: boolean;
  /** DoRA's lengths of the rows; null without. */
  readonly magnitude: string | null;
}

/** What one tensor of the merged model is made from. */
export interface TensorRecipe {
  readonly parameter: ParameterSpec;
  /** The base's tensor, or one of the adapter's that stands in its place. */
  readonly from: { readonly base: string } | { readonly copy: string };
  readonly lora: LoraRecipe | null;
  /** Rows that the adapter replaces. */
  readonly rows: { readonly key: string; readonly indices: readonly number[] } | null;
  /** Added: `scaling` times a bias of B. */
  readonly loraBias: { readonly key: string; readonly scaling: number } | null;
}

/** What becomes of tied embeddings. */
export interface TieOutcome {
  readonly before: boolean;
  readonly after: boolean;
  /** Why, for people. */
  readonly reason: string;
}

/** A merge, before a value is read. */
export interface MergePlan {
  readonly resolved: ResolvedAdapter;
  /** In the model's order; a head that stays tied is left out. */
  readonly recipes: readonly TensorRecipe[];
  readonly tie: TieOutcome;
}

/** Every tensor that the configuration asks for must be there in its shape, and no other. @throws ADAPTER_INCOMPATIBLE, TENSOR_SHAPE */
export function checkTensors(resolved: ResolvedAdapter, file: TensorFile): void {
  const problems = new ProblemList();
  const tensors = adapterTensors(resolved);
  const expected = new Set(tensors.map(({ name }) => name));
  for (const name of file.tensors.keys()) {
    if (expected.has(name)) continue;
    problems.add("ADAPTER_INCOMPATIBLE", "the adapter has a tensor that its own configuration does not ask for on this base", {
      where: `${file.name} ${name}`,
      hint: "merge it onto the base that it was trained on; heirloom verify says more",
    });
  }
  for (const { name, shape, aliasOf } of tensors) {
    const found = file.tensors.get(name)?.shape;
    const wanted = `[${shape.join(", ")}]`;
    if (found === undefined) {
      if (aliasOf === undefined)
        problems.add("ADAPTER_INCOMPATIBLE", `expected a tensor of shape ${wanted}, found none`, { where: `${file.name} ${name}` });
    } else if (found.join() !== shape.join()) {
      problems.add("TENSOR_SHAPE", `expected shape ${wanted}, found [${found.join(", ")}]`, { where: `${file.name} ${name}` });
    }
  }
  problems.throwIfAny();
}

/** The indices of a module's trained rows; PyTorch counts negative ones from the end. */
function tokenIndices(adapter: AdapterSpec, module: string, rows: number): number[] {
  const { trainableTokenIndices: given } = adapter;
  const own = Array.isArray(given)
    ? (given as readonly number[])
    : Object.entries((given ?? {}) as Readonly<Record<string, readonly number[]>>).find(([name]) => module.endsWith(name))?.[1];
  return (own ?? []).map((index) => (index < 0 ? index + rows : index));
}

/** Finds by module and parameter what the adapter has for it. */
class Sources {
  readonly #adapter: AdapterSpec;
  readonly #resolved: ResolvedAdapter;

  constructor(adapter: AdapterSpec, resolved: ResolvedAdapter) {
    this.#adapter = adapter;
    this.#resolved = resolved;
  }

  /** The adapter's tensor that stands in a parameter's place: a full copy, a trained bias, a stored embedding. */
  #copyOf(name: string): string | null {
    const copy = this.#resolved.fullCopies.find(({ parameter }) => parameter === name);
    // A tied copy is stored under both names; it is one tensor, and the first is it.
    if (copy !== undefined) return PEFT_PREFIX + (copy.tiedWith === undefined ? name : `${copy.tiedWith}.weight`);
    const stored = this.#resolved.storedBase.find(({ parameter }) => parameter === name);
    if (stored === undefined) return null;
    const role = stored.trained ? "bias" : "base";
    const leaf = name.slice(stored.module.length + 1);
    const isOwn = (key: string): boolean => key.startsWith(`${PEFT_PREFIX}${stored.module}.`) && key.endsWith(`.${leaf}`);
    return (
      adapterTensors(this.#resolved).find((tensor) => tensor.role === role && tensor.module === stored.module && isOwn(tensor.name))
        ?.name ?? null
    );
  }

  #lora({ module, kind }: ParameterSpec): LoraRecipe | null {
    const target = kind === "bias" ? undefined : this.#resolved.lora.find((candidate) => candidate.module === module);
    if (target === undefined) return null;
    const isEmbedding = target.kind === "Embedding";
    const path = PEFT_PREFIX + module;
    return {
      a: isEmbedding ? `${path}.lora_embedding_A` : `${path}.lora_A.weight`,
      b: isEmbedding ? `${path}.lora_embedding_B` : `${path}.lora_B.weight`,
      scaling: target.scaling,
      isEmbedding,
      magnitude: this.#resolved.extras.magnitude ? `${path}.lora_magnitude_vector` : null,
    };
  }

  #rows({ module, shape, kind }: ParameterSpec): TensorRecipe["rows"] {
    const rows = kind === "bias" ? undefined : this.#resolved.tokenRows.find((candidate) => candidate.module === module);
    if (rows === undefined) return null;
    const owner = rows.tiedWith ?? module;
    return {
      key: `${PEFT_PREFIX}${owner}.token_adapter.trainable_tokens_delta`,
      indices: tokenIndices(this.#adapter, owner, shape[0] ?? 0),
    };
  }

  recipe(parameter: ParameterSpec): TensorRecipe {
    const { name, module, kind, tiedTo } = parameter;
    const copy = this.#copyOf(name);
    const target = this.#resolved.lora.find((candidate) => candidate.module === module);
    const hasLoraBias = kind === "bias" && target !== undefined && this.#resolved.extras.loraBias !== null;
    return {
      parameter,
      from: copy === null ? { base: tiedTo ?? name } : { copy },
      lora: this.#lora(parameter),
      rows: this.#rows(parameter),
      loraBias: hasLoraBias ? { key: `${PEFT_PREFIX}${module}.lora_B.bias`, scaling: target.scaling } : null,
    };
  }
}

/** What tells two recipes of one shape apart. */
function signature({ from, lora, rows }: TensorRecipe): string {
  return JSON.stringify([from, lora, rows]);
}

/** Whether embedding and head stay one tensor. `sameValues` compares two copies in the adapter's file. */
async function tieOf(
  spec: ModelSpec,
  embedding: TensorRecipe,
  head: TensorRecipe,
  sameValues: (a: string, b: string) => Promise<boolean>,
): Promise<TieOutcome> {
  if (!spec.tieWordEmbeddings) return { before: false, after: false, reason: "embedding and head are two tensors in the base, too" };
  const stays = (reason: string): TieOutcome => ({ before: true, after: true, reason });
  const untied = (reason: string): TieOutcome => ({ before: true, after: false, reason });
  if (signature(embedding) === signature(head)) {
    const touched = "copy" in embedding.from || embedding.lora !== null || embedding.rows !== null;
    return stays(touched ? "the adapter changes both as one" : "the adapter changes neither embedding nor head");
  }
  const plain = embedding.lora === null && head.lora === null && embedding.rows === null && head.rows === null;
  if (plain && "copy" in embedding.from && "copy" in head.from) {
    return (await sameValues(embedding.from.copy, head.from.copy))
      ? stays("the two copies hold the same values")
      : untied("the adapter holds two copies that differ, one of the embedding and one of the head");
  }
  const changed = (recipe: TensorRecipe): boolean => "copy" in recipe.from || recipe.lora !== null || recipe.rows !== null;
  if (changed(embedding) && changed(head)) return untied("the adapter changes embedding and head each in its own way");
  return untied(`the adapter changes ${changed(embedding) ? "the embedding and not the head" : "the head and not the embedding"}`);
}

/**
 * Plans a merge: for every tensor of the merged model what it is made from.
 *
 * @param file the adapter's tensors, of which only headers are read
 * @throws ADAPTER_UNSUPPORTED for what no merged weight can hold, ADAPTER_INCOMPATIBLE, TENSOR_SHAPE, and what `resolveTargets` throws
 */
export async function planMerge(
  spec: ModelSpec,
  adapter: AdapterSpec,
  file: TensorFile,
  sameValues: (a: string, b: string) => Promise<boolean>,
): Promise<MergePlan> {
  const resolved = resolveTargets(spec, adapter);
  const parameters = modelParameters(spec);
  refuseUnmergeable(adapter, resolved, parameters);
  checkTensors(resolved, file);
  const sources = new Sources(adapter, resolved);
  const all = parameters.map((parameter) => sources.recipe(parameter));
  const [embedding, head] = [INPUT_EMBEDDING, OUTPUT_EMBEDDING].map((module) =>
    all.find(({ parameter }) => parameter.name === `${module}.weight`),
  ) as [TensorRecipe, TensorRecipe];
  const tie = await tieOf(spec, embedding, head, sameValues);
  return { resolved, tie, recipes: tie.after ? all.filter((recipe) => recipe !== head) : all };
}
