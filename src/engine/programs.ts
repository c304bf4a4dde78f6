import {
  add,
  crossEntropyGrad,
  fuseAddIntoGemm,
  type Graph,
  gradients,
  graph,
  input,
  type Program,
  type Runtime,
  rmsNorm,
  softmaxSums,
  splitForBackward,
  type Value,
} from "../compute/index.ts";
import { InternalError, NO_TRACE, type Trace } from "../core/index.ts";
import type { ModelSpec } from "../model/index.ts";
import { BLOCK_BUILDERS, type BlockPlan } from "./architectures/index.ts";
import { type LinearPlan, linear } from "./linear.ts";
import { blockKinds, headKinds } from "./work-kinds.ts";

/** Whether a block's activations are kept from the forward pass or computed again from its input. */
export type ActivationPolicy = "keep" | "recompute";

/** Prefix of graph outputs that are gradients: `d:self_attn.q_proj.lora_A`. */
export const GRADIENT_PREFIX = "d:";
/** Graph input through which a gradient is accumulated: its output aliases it. */
export const ACCUMULATOR_PREFIX = "sum:";

/** A block's compiled graphs for training. */
export interface BlockPrograms {
  readonly forward: Program;
  readonly backward: Program;
  /** Forward outputs (besides `y`) that are inputs of `backward`. */
  readonly kept: readonly string[];
}

/** Which gradients a block's backward graph computes. */
export interface BlockGradients {
  /** Parameters by their name inside the layer. */
  readonly parameters: readonly string[];
  /** Whether the gradient of the block's input is needed by a layer below. */
  readonly input: boolean;
}

/** What decides the graph of the head, or of a slice of the vocabulary. */
export interface HeadPlan {
  readonly rows: number;
  /** Its `outFeatures` are the tokens of the slice. */
  readonly head: LinearPlan;
  readonly dropout: number;
}

function gradientOutputs(
  loss: Value,
  seed: Value,
  inputs: Readonly<Record<string, Value>>,
  names: readonly string[],
): Record<string, Value> {
  const wrt = names.map((name) => {
    const value = inputs[name];
    if (value === undefined) throw new InternalError(`the graph has no input ${name} to differentiate by`);
    return value;
  });
  const found: Record<string, Value> = {};
  gradients([loss], [seed], wrt).forEach((gradient, i) => {
    // A parameter without a gradient gets no output: the observed ledger then shows it as frozen.
    if (gradient !== null) found[GRADIENT_PREFIX + names[i]] = gradient;
  });
  return found;
}

/** Rows `x` [N, D] through the final norm. */
function headNorm(spec: ModelSpec, rows: number): Value {
  const x = input("x", [rows, spec.hiddenSize]);
  const [normed] = rmsNorm(x, input("norm.weight", [spec.hiddenSize]), spec.rmsNormEps);
  return normed;
}

/** The logits of a slice of the vocabulary, from rows that are normed. */
function sliceLogits(spec: ModelSpec, plan: HeadPlan): Value {
  return linear(input("xn", [plan.rows, spec.hiddenSize]), "lm_head", plan.head, plan.dropout);
}

/** Adds to inputs, which the outputs may alias, what they are gradients of. */
function accumulated(found: Readonly<Record<string, Value>>): Record<string, Value> {
  return Object.fromEntries(
    Object.entries(found).map(([name, gradient]) => {
      const sum = input(ACCUMULATOR_PREFIX + name.slice(GRADIENT_PREFIX.length), gradient.shape);
      return [name, add(gradient, sum)];
    }),
  );
}

/** Compiles each distinct graph once and keeps it: blocks of equal plan share a session, whatever their layer. */
export class ProgramCache {
  readonly #runtime: Runtime;
  readonly #spec: ModelSpec;
  readonly #policy: ActivationPolicy;
  readonly #options: { readonly threads?: number };
  readonly #entries = new Map<string, Promise<unknown>>();
  readonly #programs: Promise<Program>[] = [];

  constructor(runtime: Runtime, spec: ModelSpec, policy: ActivationPolicy, threads: number | null) {
    this.#runtime = runtime;
    this.#spec = spec;
    this.#policy = policy;
    this.#options = threads === null ? {} : { threads };
  }

  /** What hears of the runs of these programs, and of what is done around them. */
  get trace(): Trace {
    return this.#runtime.trace ?? NO_TRACE;
  }

  #compile(name: string, outputs: Graph): Promise<Program> {
    const kinds = name.startsWith("head") ? headKinds : (graphOf: Graph) => blockKinds(graphOf, GRADIENT_PREFIX);
    const program = this.#runtime.compile(outputs, { name, kinds, ...this.#options });
    this.#programs.push(program);
    // What failed is not kept: memory that was short once may be there the next time.
    program.catch(() => {
      const at = this.#programs.indexOf(program);
      if (at >= 0) void this.#programs.splice(at, 1);
    });
    return program;
  }

  #once<T>(kind: string, plan: unknown, compile: () => Promise<T>): Promise<T> {
    const key = `${kind} ${JSON.stringify(plan)}`;
    const known = this.#entries.get(key) as Promise<T> | undefined;
    if (known !== undefined) return known;
    const made = compile();
    this.#entries.set(key, made);
    made.catch(() => this.#entries.delete(key));
    return made;
  }

  /** A block's forward graph alone: `x` → `y`. */
  blockForward(plan: BlockPlan): Promise<Program> {
    return this.#once("block-forward", plan, () => {
      const { y } = BLOCK_BUILDERS[this.#spec.architecture](this.#spec, plan);
      return this.#compile("block-forward", graph({ outputs: { y } }));
    });
  }

  /** A block's forward graph with a cache: `x` → `y`, and the rows `k`, `v` that the cache is to keep. */
  blockCached(plan: BlockPlan): Promise<Program> {
    return this.#once("block-cached", plan, () => {
      const { y, k, v } = BLOCK_BUILDERS[this.#spec.architecture](this.#spec, plan);
      return this.#compile("block-cached", fuseAddIntoGemm(graph({ outputs: { y, k, v } })));
    });
  }

  /** A block's forward and backward graphs; the backward one takes `dy`. */
  blockTraining(plan: BlockPlan, wanted: BlockGradients): Promise<BlockPrograms> {
    return this.#once("block-training", { plan, wanted, policy: this.#policy }, async () => {
      const { y } = BLOCK_BUILDERS[this.#spec.architecture](this.#spec, plan);
      const names = wanted.input ? ["x", ...wanted.parameters] : wanted.parameters;
      const outputs = gradientOutputs(y, input("dy", y.shape), graph({ outputs: { y } }).inputs, names);
      const split = splitForBackward({ y }, outputs, this.#policy);
      const forward = await this.#compile("block-forward-kept", split.forward);
      const backward = await this.#compile("block-backward", split.backward);
      return { forward, backward, kept: split.kept };
    });
  }

  /** Final norm and head in one: rows `x` [N, D] → `logits` [N, V]. */
  headLogits(plan: HeadPlan): Promise<Program> {
    return this.#once("head-logits", plan, () => {
      const normed = headNorm(this.#spec, plan.rows);
      return this.#compile("head-logits", graph({ outputs: { logits: linear(normed, "lm_head", plan.head, plan.dropout) } }));
    });
  }

  /** Final norm: `x` [N, D] → `xn` [N, D]. */
  headNorm(rows: number): Promise<Program> {
    return this.#once("head-norm", rows, () => this.#compile("head-norm", graph({ outputs: { xn: headNorm(this.#spec, rows) } })));
  }

  /** A slice of the vocabulary of V' tokens: `xn` [N, D] → `logits` [N, V'], and of each row their `max` and `sum` [N, 1]. */
  headSlice(plan: HeadPlan): Promise<Program> {
    return this.#once("head-slice", plan, () => {
      const logits = sliceLogits(this.#spec, plan);
      const [max, sum] = softmaxSums(logits);
      return this.#compile("head-slice", graph({ outputs: { logits, max, sum } }));
    });
  }

  /**
   * The gradients of a slice from its `logits`, each row's `max`, `scales` and `weights` [N, 1], and the `labels` [N] that are in it.
   * They are added to `sum:<name>` inputs, which their outputs may alias; that of the normed rows is called `xn`.
   */
  headSliceGradients(plan: HeadPlan, wanted: BlockGradients): Promise<Program> {
    return this.#once("head-slice-gradients", { plan, wanted }, () => {
      const column = (name: string): Value => input(name, [plan.rows, 1]);
      const labels = input("labels", [plan.rows], "int32");
      const rows = { max: column("max"), scales: column("scales"), weights: column("weights"), labels };
      const seed = crossEntropyGrad(input("logits", [plan.rows, plan.head.outFeatures]), rows);
      const logits = sliceLogits(this.#spec, plan);
      const names = wanted.input ? ["xn", ...wanted.parameters] : wanted.parameters;
      const found = gradientOutputs(logits, seed, graph({ outputs: { logits } }).inputs, names);
      return this.#compile("head-slice-gradients", fuseAddIntoGemm(graph({ outputs: accumulated(found) })));
    });
  }

  /** The gradients of the final norm from `dxn` [N, D]: of its input, and (added to `sum:norm.weight`) of its weight. */
  headNormGradients(rows: number, wanted: BlockGradients): Promise<Program> {
    return this.#once("head-norm-gradients", { rows, wanted }, () => {
      const normed = headNorm(this.#spec, rows);
      const found = gradientOutputs(normed, input("dxn", normed.shape), graph({ outputs: { normed } }).inputs, ["x", ...wanted.parameters]);
      const { [`${GRADIENT_PREFIX}x`]: dx, ...parameters } = found;
      const outputs = { ...accumulated(parameters), ...(dx === undefined ? {} : { [`${GRADIENT_PREFIX}x`]: dx }) };
      return this.#compile("head-norm-gradients", graph({ outputs }));
    });
  }

  /** A graph that is neither of a block nor of the head, under a name that says all that decides it. */
  other(name: string, make: () => Graph): Promise<Program> {
    return this.#once("other", name, () => this.#compile(name, make()));
  }

  /** Releases every compiled graph; one that cannot be released does not keep the others. @throws the first failure */
  async dispose(): Promise<void> {
    this.#entries.clear();
    const compiled = await Promise.allSettled(this.#programs.splice(0));
    const released = await Promise.allSettled(compiled.flatMap((each) => (each.status === "fulfilled" ? [each.value.dispose()] : [])));
    const failed = released.find((each) => each.status === "rejected");
    if (failed !== undefined) throw failed.reason;
  }
}
