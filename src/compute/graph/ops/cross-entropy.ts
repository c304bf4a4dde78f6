import { apply, at, checkDtype, checkRank, checkShape } from "../node.ts";
import type { OnnxEmitter, Op, ReferenceTensor, Value } from "../types.ts";
import { crossEntropyGrad } from "./cross-entropy-grad.ts";

// For row n with label l ≥ 0: loss = ln Σ_v exp x_v − x_l, p = softmax(x); dx_v = (p_v − [v = l]) dloss.
// Rows with a negative label (−100: no label) have loss 0 and no gradient.
// loss = (max − x_l) − ln p_max: exact, whereas ln p_l underflows for an unlikely label.
export const crossEntropyOp: Op = Object.freeze<Op>({
  name: "crossEntropy",
  infer([input, labels]) {
    const logits = input as Value;
    checkRank("crossEntropy: logits", logits, 2);
    checkDtype("crossEntropy: logits", logits, "float32");
    checkDtype("crossEntropy: labels", labels as Value, "int32");
    checkShape("crossEntropy: labels", labels as Value, [at(logits.shape, 0)]);
    return [
      { shape: [at(logits.shape, 0)], dtype: "float32" },
      { shape: logits.shape, dtype: "float32" },
    ];
  },
  withoutGradient: [1],
  auxiliaryOutputs: [1],
  gradient({ inputs, outputs }, [dloss]) {
    return [crossEntropyGrad(dloss as Value, at(outputs, 1), at(inputs, 1)), null];
  },
  evaluate(inputs) {
    const [logits, labels] = inputs as readonly [ReferenceTensor, ReferenceTensor];
    const width = at(logits.shape, 1);
    const loss = new Float64Array(labels.data.length);
    const probabilities = new Float64Array(logits.data.length);
    for (let n = 0; n < loss.length; n++) {
      const row = logits.data.subarray(n * width, (n + 1) * width);
      const max = row.reduce((a, b) => Math.max(a, b), -Infinity);
      const sum = row.reduce((total, x) => total + Math.exp(x - max), 0);
      probabilities.set(
        row.map((x) => Math.exp(x - max) / sum),
        n * width,
      );
      const label = at(labels.data, n);
      loss[n] = label < 0 ? 0 : max - at(row, label) + Math.log(sum);
    }
    return [
      { shape: labels.shape, data: loss },
      { shape: logits.shape, data: probabilities },
    ];
  },
  onnx: {
    lower(node, emit) {
      const [logits, labels] = node.inputs.map((value) => emit.name(value)) as [string, string];
      const [loss, probabilities] = node.outputs.map((value) => emit.name(value)) as [string, string];
      const one = (opType: string, inputs: readonly string[], attributes = {}): string => at(emit.node(opType, inputs, 1, attributes), 0);
      const rows = at(at(node.inputs, 0).shape, 0);
      emit.node("Softmax", [logits], [probabilities], { axis: { int: -1 } });
      const best = one("ArgMax", [logits], { axis: { int: 1 }, keepdims: { int: 1 } });
      const max = one("GatherElements", [logits, best], { axis: { int: 1 } });
      const bestProbability = one("GatherElements", [probabilities, best], { axis: { int: 1 } });
      const ofLabel = one("GatherElements", [logits, emitLabelColumn(labels, rows, emit)], { axis: { int: 1 } });
      const column = one("Sub", [one("Sub", [max, ofLabel]), one("Log", [bestProbability])]);
      const flat = one("Reshape", [column, emit.constant([rows], [1], "int64")]);
      const labelled = one("GreaterOrEqual", [labels, emit.constant([0], [], "int32")]);
      emit.node("Where", [labelled, flat, emit.constant([0], [], "float32")], [loss]);
    },
  },
  recompute: "cheap",
});

/** Emits the labels as indices [N,1] (int64), 0 in place of negative ones. */
export function emitLabelColumn(labels: string, rows: number, emit: OnnxEmitter): string {
  const clamped = at(emit.node("Max", [labels, emit.constant([0], [], "int32")], 1), 0);
  const column = at(emit.node("Reshape", [clamped, emit.constant([rows, 1], [2], "int64")], 1), 0);
  return at(emit.node("Cast", [column], 1, { to: { int: 7 } }), 0); // 7: INT64 in TensorProto
}

/**
 * Cross-entropy of each row of `logits` [N,V] with `labels` [N] (int32, negative: none) → `[loss [N], probabilities
 * [N,V]]`. Weights of rows come with the seed of the gradient.
 */
export function crossEntropy(logits: Value, labels: Value): readonly [Value, Value] {
  return apply(crossEntropyOp, [logits, labels], {}) as readonly [Value, Value];
}
