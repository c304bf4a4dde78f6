import type { Graph, Program, Runtime } from "../compute/index.ts";
import { HeirloomError, type Trace } from "../core/index.ts";
import type { MicroBatch } from "../data/index.ts";
import type { LedgerEntry } from "../ledger/index.ts";
import type { ModelSpec } from "../model/index.ts";
import type { BaseWeights } from "./base-weights.ts";
import type { LoraPlan } from "./block-plan.ts";
import { BlockStack, type StackInputs } from "./block-stack.ts";
import { Decoder } from "./decoder.ts";
import type { DropoutPosition } from "./dropout.ts";
import { Head } from "./head.ts";
import { labelRows } from "./label-rows.ts";
import { EMBEDDING_KEY, type Parameter } from "./parameter.ts";
import { type ActivationPolicy, GRADIENT_PREFIX, ProgramCache } from "./programs.ts";
import { RotaryTable } from "./rotary-table.ts";
import { Weights } from "./weights.ts";
import { Workspace } from "./workspace.ts";

/** Everything that a {@link CausalModel} is put together from. */
export interface CausalModelParts {
  readonly runtime: Runtime;
  readonly spec: ModelSpec;
  readonly base: BaseWeights;
  /** Adapter tensors, or the base's own for full-parameter training; empty for the plain base. */
  readonly parameters: readonly Parameter[];
  /** LoRA by module path. */
  readonly lora: ReadonlyMap<string, LoraPlan>;
  readonly dropout: number;
  readonly activations: ActivationPolicy;
  /** Threads of the products; null: the runtime's choice. */
  readonly threads: number | null;
}

/** A live tensor, as the observed ledger needs it. */
export type LiveTensor = Pick<LedgerEntry, "name" | "shape" | "dtype" | "bytes" | "trainable">;

/**
 * A LLaMA-family causal language model with or without an adapter: forward
 * passes, losses and gradients on packed or padded batches.
 */
export class CausalModel {
  readonly spec: ModelSpec;
  readonly weights: Weights;
  readonly workspace: Workspace;
  readonly #parts: CausalModelParts;
  readonly #stack: BlockStack;
  readonly #head: Head;
  readonly #programs: ProgramCache;
  readonly #rotary: RotaryTable;
  readonly #isGuest: boolean;

  /** @param host another model on the same base, whose compiled graphs and buffers are shared */
  constructor(parts: CausalModelParts, host?: CausalModel) {
    const { spec, lora, dropout } = parts;
    this.spec = spec;
    this.#parts = parts;
    this.#isGuest = host !== undefined;
    this.workspace = host?.workspace ?? new Workspace();
    this.weights = new Weights(parts.base, parts.parameters, this.workspace);
    this.#programs = host === undefined ? new ProgramCache(parts.runtime, spec, parts.activations, parts.threads) : host.#programs;
    this.#rotary = host === undefined ? new RotaryTable(spec) : host.#rotary;
    const shared = { spec, programs: this.#programs, weights: this.weights, workspace: this.workspace, dropout };
    this.#stack = new BlockStack({ ...shared, lora });
    this.#head = new Head({ ...shared, lora: lora.get("lm_head") ?? null });
  }

  /** What hears of the work that is done with this model. */
  get trace(): Trace {
    return this.#programs.trace;
  }

  #inputs(batch: MicroBatch): StackInputs {
    const half = this.spec.headDim / 2;
    const tokens = batch.batch * batch.sequence;
    const rotary = { cos: this.workspace.floats("cos", tokens * half), sin: this.workspace.floats("sin", tokens * half) };
    this.#rotary.fill(batch.positions, rotary);
    return { batch: batch.batch, sequence: batch.sequence, segments: batch.segments, ...rotary };
  }

  /**
   * The same base with another adapter (or none), beside this one: nothing of the base is read or held again, and graphs
   * of equal shape are compiled once for all. It lives as long as this model; its own `dispose` does nothing.
   */
  withAdapter(adapter: Pick<CausalModelParts, "parameters" | "lora">): CausalModel {
    return new CausalModel({ ...this.#parts, ...adapter }, this);
  }

  /** Continues sequences of up to `maxLength` tokens with a cache of keys and values. */
  decoder(maxLength: number): Decoder {
    return new Decoder(
      {
        spec: this.spec,
        programs: this.#programs,
        weights: this.weights,
        head: this.#head,
        rotary: this.#rotary,
        lora: this.#parts.lora,
        embed: (ids, rows) => this.#embed(ids, rows),
      },
      maxLength,
    );
  }

  #embed(ids: ArrayLike<number>, rows: Float32Array): void {
    this.trace.span("embedding", "embedding", {}, () => this.#copyRows(ids, rows));
  }

  /** Puts the embedding rows of tokens into `rows`. */
  #copyRows(ids: ArrayLike<number>, rows: Float32Array): void {
    const width = this.spec.hiddenSize;
    for (let t = 0; t < ids.length; t++) {
      const id = ids[t] as number;
      if (id < 0 || id >= this.spec.vocabSize) {
        throw new HeirloomError("TOKENIZER_TOO_LARGE", `token id ${id} has no row in an embedding of ${this.spec.vocabSize} rows`, {
          hint: "use the tokenizer that belongs to this base model",
          details: { id, rows: this.spec.vocabSize },
        });
      }
      rows.set(this.weights.range(EMBEDDING_KEY, id * width, (id + 1) * width, "embedding row"), t * width);
    }
  }

  async #hidden(batch: MicroBatch): Promise<Float32Array> {
    const inputs = this.#inputs(batch);
    this.#embed(batch.inputIds, this.#stack.inputRows(inputs));
    return this.#stack.forward(inputs);
  }

  /** Logits [B·S, V] of every position, dropout off. */
  async logits(batch: MicroBatch): Promise<Float32Array> {
    const hidden = await this.#hidden(batch);
    return this.#head.logits(
      hidden,
      Int32Array.from({ length: batch.batch * batch.sequence }, (_, i) => i),
    );
  }

  /** Sum of the cross-entropies (nats) of all label tokens, and their number; dropout off. */
  async evaluate(batch: MicroBatch): Promise<{ lossSum: number; labelTokens: number }> {
    const labelled = labelRows(batch);
    const losses = await this.#head.losses(await this.#hidden(batch), labelled);
    return { lossSum: losses.reduce((sum, loss) => sum + loss, 0), labelTokens: losses.length };
  }

  /** Compiles a graph that works on the model's memory, once under each name; it is released with the model's own. */
  compile(name: string, make: () => Graph): Promise<Program> {
    return this.#programs.other(name, make);
  }

  /** Starts the gradients of an update. */
  beginUpdate(): void {
    this.weights.beginUpdate();
  }

  /**
   * One micro-step: forward and backward, gradients added to the parameters'.
   *
   * @param weight what each label token's loss counts (1 / label tokens of the update, or of the micro-batch times their number).
   * @returns the weighted sum of the losses.
   */
  async accumulate(batch: MicroBatch, weight: number, position: DropoutPosition): Promise<number> {
    const inputs = this.#inputs(batch);
    this.#embed(batch.inputIds, this.#stack.inputRows(inputs));
    const hidden = await this.#stack.forwardKeeping(inputs, position);
    const dHidden = this.workspace.floats("dy", hidden.length);
    const { trace } = this;
    const labelled = labelRows(batch);
    const head = (): Promise<number> => this.#head.lossAndGradients(hidden, labelled, weight, dHidden, position);
    const loss = await trace.span("head", "head", { rows: labelled.rows.length }, head);
    const dRows = await this.#stack.backward(inputs, dHidden, position);
    if (dRows !== null) trace.span("embedding gradient", "embedding", {}, () => this.#scatterEmbedding(batch, dRows));
    return loss;
  }

  /** PyTorch's `nn.Embedding(padding_idx)`, as transformers builds it, gives the padding token's row no gradient; so neither here. */
  #scatterEmbedding({ inputIds, segments }: MicroBatch, dRows: Float32Array): void {
    const { padTokenId } = this.spec;
    const ids = inputIds.map((id, t) => (segments[t] === 0 || id === padTokenId ? -1 : id));
    this.weights.addRows(EMBEDDING_KEY, ids, dRows);
  }

  /** Ends an update's gradients; what nothing wrote to is zero. */
  finishGradients(): void {
    this.weights.finishGradients();
  }

  /**
   * The parameters that the compiled graphs for batches of this shape really
   * compute a gradient of. Reads the graphs' outputs; knows nothing of what was
   * planned.
   */
  async gradientParameters(batch: number, sequence: number): Promise<Set<Parameter>> {
    const inputs: StackInputs = { batch, sequence, segments: new Int32Array(0), cos: new Float32Array(0), sin: new Float32Array(0) };
    const found = new Set<Parameter>();
    const add = (key: string): void => {
      const parameter = this.weights.trainable(key);
      if (parameter !== undefined) found.add(parameter);
    };
    const head = await this.#head.gradientKeys();
    head.keys.forEach(add);
    let reached = head.input;
    // A block whose graph has no gradient of its input ends the way down, whatever the graphs below could compute.
    for (let layer = this.spec.layerCount - 1; layer >= 0 && reached; layer--) {
      const programs = await this.#stack.programs(layer, inputs);
      if (programs === null) break;
      const names = Object.keys(programs.backward.outputs).map((name) => name.slice(GRADIENT_PREFIX.length));
      for (const name of names) if (name !== "x") add(`model.layers.${layer}.${name}`);
      reached = names.includes("x");
      if (layer === 0 && reached) add(EMBEDDING_KEY);
    }
    return found;
  }

  /** Releases the compiled graphs and buffers. */
  async dispose(): Promise<void> {
    if (this.#isGuest) return;
    await this.#programs.dispose();
    this.workspace.clear();
  }
}
