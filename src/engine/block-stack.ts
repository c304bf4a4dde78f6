import type { Program, TensorData } from "../compute/index.ts";
import { InternalError } from "../core/index.ts";
import type { ModelSpec } from "../model/index.ts";
import type { BlockPlan } from "./architectures/index.ts";
import { blockPlan, type LoraPlan, layerPrefix } from "./block-plan.ts";
import { type DropoutPosition, fillDropoutMask } from "./dropout.ts";
import { EMBEDDING_KEY } from "./parameter.ts";
import { type BlockPrograms, GRADIENT_PREFIX, type ProgramCache } from "./programs.ts";
import type { Weights } from "./weights.ts";
import type { Workspace } from "./workspace.ts";

/** What every block of one forward pass is fed with. */
export interface StackInputs {
  readonly batch: number;
  readonly sequence: number;
  /** [B·S] */
  readonly segments: Int32Array;
  /** [B·S, d/2] */
  readonly cos: Float32Array;
  /** [B·S, d/2] */
  readonly sin: Float32Array;
}

/** The parts that the stack works with. */
export interface StackParts {
  readonly spec: ModelSpec;
  readonly programs: ProgramCache;
  readonly weights: Weights;
  readonly workspace: Workspace;
  /** By module path. */
  readonly lora: ReadonlyMap<string, LoraPlan>;
  readonly dropout: number;
}

/** Runs the decoder blocks forward and backward, one layer at a time, on shared compiled graphs. */
export class BlockStack {
  readonly #parts: StackParts;

  constructor(parts: StackParts) {
    this.#parts = parts;
  }

  /** Whether the embedding's gradient is wanted, which needs every block's input gradient. */
  get #trainsEmbedding(): boolean {
    return this.#parts.weights.trainable(EMBEDDING_KEY) !== undefined;
  }

  #trainsBelow(layer: number): boolean {
    for (let below = 0; below < layer; below++) if (this.#parts.weights.trainableKeys(layerPrefix(below)).length > 0) return true;
    return this.#trainsEmbedding;
  }

  #plan(layer: number, { batch, sequence }: StackInputs, dropout: number): BlockPlan {
    return blockPlan(this.#parts.spec, this.#parts.lora, layer, { batch, sequence, dropout, cache: null });
  }

  /** The training graphs of a layer; null if nothing at or below it is trained. */
  async programs(layer: number, inputs: StackInputs): Promise<BlockPrograms | null> {
    const parameters = this.#parts.weights.trainableKeys(layerPrefix(layer));
    const input = this.#trainsBelow(layer);
    if (parameters.length === 0 && !input) return null;
    return this.#parts.programs.blockTraining(this.#plan(layer, inputs, this.#parts.dropout), { parameters, input });
  }

  /** Values for every input of a layer's program that is neither an activation nor passed in `given`. */
  #feeds(program: Program, layer: number, given: Record<string, TensorData>, position: DropoutPosition | null): Record<string, TensorData> {
    return this.#parts.programs.trace.span("weights", "weights", {}, () => {
      const prefix = layerPrefix(layer);
      const feeds: Record<string, TensorData> = {};
      for (const name of Object.keys(program.inputs)) {
        const value = given[name];
        if (value !== undefined) feeds[name] = value;
        else if (name.endsWith(".dropout")) feeds[name] = this.#dropoutMask(program, name, prefix, position);
        else feeds[name] = this.#parts.weights.feed(prefix + name, name);
      }
      return feeds;
    });
  }

  #dropoutMask(program: Program, name: string, prefix: string, position: DropoutPosition | null): Uint8Array {
    if (position === null) throw new InternalError("a graph with dropout was run without a position in the run");
    const length = (program.inputs[name]?.shape ?? []).reduce((product, n) => product * n, 1);
    const mask = this.#parts.workspace.bytes(`mask/${name}`, length);
    fillDropoutMask(mask, this.#parts.dropout, position, prefix + name.slice(0, -".dropout".length));
    return mask;
  }

  #hidden(layer: number, inputs: StackInputs): Float32Array {
    return this.#parts.workspace.floats(`hidden/${layer}`, inputs.batch * inputs.sequence * this.#parts.spec.hiddenSize);
  }

  #traced<T>(way: "forward" | "backward", layer: number, work: () => T): T {
    return this.#parts.programs.trace.span(`block ${layer} ${way}`, "blocks", { layer }, work);
  }

  /** The buffer [B·S, D] that the embedding's rows are to be put into. */
  inputRows(inputs: StackInputs): Float32Array {
    return this.#hidden(0, inputs);
  }

  /** All blocks without dropout, nothing kept; returns the last hidden rows [B·S, D]. */
  async forward(inputs: StackInputs): Promise<Float32Array> {
    const { spec } = this.#parts;
    let x = this.#hidden(0, inputs);
    for (let layer = 0; layer < spec.layerCount; layer++) {
      const program = await this.#parts.programs.blockForward(this.#plan(layer, inputs, 0));
      const y = this.#hidden(1 + (layer % 2), inputs);
      const given = { x, cos: inputs.cos, sin: inputs.sin, segments: inputs.segments };
      await this.#traced("forward", layer, () => program.run(this.#feeds(program, layer, given, null), { y }));
      x = y;
    }
    return x;
  }

  /** All blocks with dropout, keeping what {@link backward} needs; returns the last hidden rows. */
  async forwardKeeping(inputs: StackInputs, position: DropoutPosition): Promise<Float32Array> {
    const { spec, workspace } = this.#parts;
    const batchInputs = { cos: inputs.cos, sin: inputs.sin, segments: inputs.segments };
    for (let layer = 0; layer < spec.layerCount; layer++) {
      const training = await this.programs(layer, inputs);
      const program = training?.forward ?? (await this.#parts.programs.blockForward(this.#plan(layer, inputs, this.#parts.dropout)));
      const outputs = { ...workspace.outputs(`kept/${layer}`, program, training?.kept ?? []), y: this.#hidden(layer + 1, inputs) };
      const given = { x: this.#hidden(layer, inputs), ...batchInputs };
      await this.#traced("forward", layer, () => program.run(this.#feeds(program, layer, given, position), outputs));
    }
    return this.#hidden(spec.layerCount, inputs);
  }

  /**
   * All blocks backward from `dy` [B·S, D], after {@link forwardKeeping} on the
   * same inputs. Parameter gradients go to the weights' gradient buffers;
   * returns the gradient of the embedding's rows, or null if it is not wanted.
   */
  async backward(inputs: StackInputs, lastGradient: Float32Array, position: DropoutPosition): Promise<Float32Array | null> {
    const { spec, workspace } = this.#parts;
    let dy = lastGradient;
    for (let layer = spec.layerCount - 1; layer >= 0; layer--) {
      const training = await this.programs(layer, inputs);
      if (training === null) return null;
      const { backward, kept } = training;
      const given = {
        ...workspace.outputs(`kept/${layer}`, training.forward, kept),
        x: this.#hidden(layer, inputs),
        y: this.#hidden(layer + 1, inputs),
        dy,
        cos: inputs.cos,
        sin: inputs.sin,
        segments: inputs.segments,
      };
      const outputs = this.#gradientBuffers(backward, layer, inputs);
      await this.#traced("backward", layer, async () => {
        await backward.run(this.#feeds(backward, layer, given, position), outputs);
        this.#parts.programs.trace.span("gradients", "gradients", {}, () => this.#collect(outputs, layer));
      });
      const dx = outputs[`${GRADIENT_PREFIX}x`];
      if (dx === undefined) return null;
      dy = dx as Float32Array;
    }
    return this.#trainsEmbedding ? dy : null;
  }

  #gradientBuffers(backward: Program, layer: number, inputs: StackInputs): Record<string, TensorData> {
    const { workspace, weights, spec } = this.#parts;
    const outputs: Record<string, TensorData> = {};
    for (const name of Object.keys(backward.outputs)) {
      const parameter = name.slice(GRADIENT_PREFIX.length);
      outputs[name] =
        parameter === "x"
          ? workspace.floats(`dx/${layer % 2}`, inputs.batch * inputs.sequence * spec.hiddenSize)
          : weights.gradientTarget(layerPrefix(layer) + parameter);
    }
    return outputs;
  }

  #collect(outputs: Record<string, TensorData>, layer: number): void {
    for (const [name, values] of Object.entries(outputs)) {
      const parameter = name.slice(GRADIENT_PREFIX.length);
      if (parameter !== "x") this.#parts.weights.collectGradient(layerPrefix(layer) + parameter, values as Float32Array);
    }
  }
}
