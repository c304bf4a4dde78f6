/** Element types that a graph's values can have. */
export type Dtype = "float32" | "int32" | "int64" | "bool" | "uint8";

/** Lengths of the axes, slowest first; none for a scalar. */
export type Shape = readonly number[];

/** Shape and element type of a tensor. */
export interface TensorType {
  readonly shape: Shape;
  readonly dtype: Dtype;
}

/** Every operation; `ops/index.ts` has a record for each. */
export type OpName =
  | "input"
  | "constant"
  | "add"
  | "sub"
  | "mul"
  | "div"
  | "scale"
  | "exp"
  | "log"
  | "sqrt"
  | "sigmoid"
  | "silu"
  | "reshape"
  | "transpose"
  | "slice"
  | "pad"
  | "split"
  | "concat"
  | "expand"
  | "reduceSum"
  | "gather"
  | "gemm"
  | "matmul"
  | "maskScale"
  | "rmsNorm"
  | "swiglu"
  | "rope"
  | "attention"
  | "attentionGrad"
  | "cachedAttention"
  | "softmaxSums"
  | "crossEntropyGrad";

/** A constant of a node. */
export type AttributeValue = number | boolean | string | null | readonly number[];
/** A node's constants by name. */
export type Attributes = Readonly<Record<string, AttributeValue>>;

/** One application of an op; frozen. */
export interface Node<A extends Attributes = Attributes> {
  readonly op: OpName;
  readonly inputs: readonly Value[];
  readonly attributes: A;
  readonly outputs: readonly Value[];
}

/** One output of a node; frozen. */
export interface Value extends TensorType {
  /** Grows with creation, so that ordering by it is a topological order. */
  readonly id: number;
  readonly node: Node;
  /** Which of the node's outputs this is. */
  readonly index: number;
}

/** Named inputs and outputs with the nodes between them, in topological order (inputs not among them). */
export interface Graph {
  readonly inputs: Readonly<Record<string, Value>>;
  readonly outputs: Readonly<Record<string, Value>>;
  readonly nodes: readonly Node[];
}

/** A tensor of the reference evaluator: float64 whatever the dtype. */
export interface ReferenceTensor {
  readonly shape: Shape;
  readonly data: Float64Array;
}

/** An ONNX attribute with the type that it has in the file. */
export type OnnxAttribute =
  | { readonly int: number }
  | { readonly float: number }
  | { readonly ints: readonly number[] }
  | { readonly string: string };
/** The attributes of an ONNX node by name. */
export type OnnxAttributes = Readonly<Record<string, OnnxAttribute>>;
/** The standard domain is the empty string. */
export type OnnxDomain = "" | "com.microsoft";

/** What an op's lowering writes ONNX nodes with. Tensors are known by their names; "" stands for one left out. */
export interface OnnxEmitter {
  /** The name of a graph value: of an input of the node being lowered, or the name that its output must get. */
  name(value: Value): string;
  /**
   * Adds an ONNX node. `outputs` is a count of fresh names to make, or the names themselves.
   * Returns the output names.
   */
  node(
    opType: string,
    inputs: readonly string[],
    outputs: number | readonly string[],
    attributes?: OnnxAttributes,
    domain?: OnnxDomain,
  ): readonly string[];
  /** Adds an initializer (equal ones may be shared) and returns its name. */
  constant(values: ArrayLike<number>, shape: Shape, dtype: Dtype): string;
}

/** An op that is one ONNX operator with the same inputs and outputs in the same order. */
export interface OnnxOperator<A extends Attributes = Attributes> {
  readonly opType: string;
  readonly domain?: OnnxDomain;
  attributes?(node: Node<A>): OnnxAttributes;
}

/** An op that becomes several ONNX nodes. */
export interface OnnxLowering<A extends Attributes = Attributes> {
  lower(node: Node<A>, emit: OnnxEmitter): void;
}

/**
 * Whether the backward graph may compute a forward value again instead of being given it.
 * `always`: a view or a copy of a part, never kept; `cheap`: kept only where that needs no more
 * memory than keeping what it is computed from; `never`: kept.
 */
export type RecomputePolicy = "always" | "cheap" | "never";

/** All that is known of an op. */
export interface Op<A extends Attributes = Attributes> {
  readonly name: OpName;
  /** Types of the outputs; throws an `InternalError` on inputs that do not fit. */
  infer(inputs: readonly TensorType[], attributes: A): readonly TensorType[];
  /** Positions of inputs to which no gradient flows, by declaration; `all` for an op that is not differentiated. */
  readonly withoutGradient: readonly number[] | "all";
  /** Positions of outputs that serve the gradient rule only: no gradient may arrive there. */
  readonly auxiliaryOutputs?: readonly number[];
  /**
   * Gradients of the inputs from those of the outputs (null: none arrives), as new nodes. Absent
   * exactly if `withoutGradient` is `all`; what it builds without need is dropped with the graph's walk.
   */
  gradient?(node: Node<A>, outputGradients: readonly (Value | null)[]): readonly (Value | null)[];
  /** The op in float64, plainly. */
  evaluate(inputs: readonly ReferenceTensor[], node: Node<A>): readonly ReferenceTensor[];
  /** `none` for inputs and constants, which the lowering of the graph itself writes. */
  readonly onnx: OnnxOperator<A> | OnnxLowering<A> | "none";
  readonly recompute: RecomputePolicy;
  /** Multiplications and additions of its matrix products; absent: none. */
  flops?(node: Node<A>): number;
}
