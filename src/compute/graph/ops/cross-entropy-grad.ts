import { applyOne, at, checkDtype, checkRank, checkShape } from "../node.ts";
import type { OnnxEmitter, Op, ReferenceTensor, Value } from "../types.ts";

// The derivative of w times the cross-entropy of a row with label l, ln Σ_v exp x_v − x_l, by its logits. With the row's
// largest logit m and q = w / Σ exp(x − m), over all columns, of which x may be a part:  dx_v = q exp(x_v − m) − w [v = l].
// A negative label is in none of these columns.
export const crossEntropyGradOp: Op = Object.freeze<Op>({
  name: "crossEntropyGrad",
  infer([input, max, scales, weights, labels]) {
    const logits = input as Value;
    checkRank("crossEntropyGrad: logits", logits, 2);
    const rows = at(logits.shape, 0);
    checkShape("crossEntropyGrad: max", max as Value, [rows, 1]);
    checkShape("crossEntropyGrad: scales", scales as Value, [rows, 1]);
    checkShape("crossEntropyGrad: weights", weights as Value, [rows, 1]);
    checkDtype("crossEntropyGrad: labels", labels as Value, "int32");
    checkShape("crossEntropyGrad: labels", labels as Value, [rows]);
    return [{ shape: logits.shape, dtype: "float32" }];
  },
  withoutGradient: "all",
  evaluate(inputs) {
    const [logits, max, scales, weights, labels] = inputs as readonly [
      ReferenceTensor,
      ReferenceTensor,
      ReferenceTensor,
      ReferenceTensor,
      ReferenceTensor,
    ];
    const width = at(logits.shape, 1);
    const data = logits.data.map((x, i) => {
      const [row, column] = [Math.floor(i / width), i % width];
      const taken = column === at(labels.data, row) ? at(weights.data, row) : 0;
      return at(scales.data, row) * Math.exp(x - at(max.data, row)) - taken;
    });
    return [{ shape: logits.shape, data }];
  },
  onnx: {
    lower(node, emit) {
      const names = node.inputs.map((value) => emit.name(value));
      const [logits, max, scales, weights, labels] = names as [string, string, string, string, string];
      const one = (opType: string, inputs: readonly string[]): string => at(emit.node(opType, inputs, 1), 0);
      const rows = at(at(node.inputs, 0).shape, 0);
      const weighted = one("Mul", [one("Exp", [one("Sub", [logits, max])]), scales]);
      const flat = one("Reshape", [weights, emit.constant([rows], [1], "int64")]);
      const isHere = one("GreaterOrEqual", [labels, emit.constant([0], [], "int32")]);
      const taken = one("Where", [isHere, one("Neg", [flat]), emit.constant([0], [], "float32")]);
      const column = one("Reshape", [taken, emit.constant([rows, 1], [2], "int64")]);
      const inputs = [weighted, emitLabelColumn(labels, rows, emit), column];
      emit.node("ScatterElements", inputs, [emit.name(at(node.outputs, 0))], { axis: { int: 1 }, reduction: { string: "add" } });
    },
  },
  recompute: "never",
});

/** Emits the labels as indices [N,1] (int64), 0 in place of negative ones. */
function emitLabelColumn(labels: string, rows: number, emit: OnnxEmitter): string {
  const clamped = at(emit.node("Max", [labels, emit.constant([0], [], "int32")], 1), 0);
  const column = at(emit.node("Reshape", [clamped, emit.constant([rows, 1], [2], "int64")], 1), 0);
  return at(emit.node("Cast", [column], 1, { to: { int: 7 } }), 0); // 7: INT64 in TensorProto
}

/** What {@link crossEntropyGrad} must know of the rows besides their logits. */
export interface CrossEntropyRows {
  /** [N,1]: m, the row's largest logit, those of other parts included. */
  readonly max: Value;
  /** [N,1]: the row's weight divided by Σ exp(x − m). */
  readonly scales: Value;
  /** [N,1]: what the row's loss counts. */
  readonly weights: Value;
  /** [N] int32: column of the label among these; negative: not among them. */
  readonly labels: Value;
}

/** Gradient of the weighted sum of cross-entropies by `logits` [N,V], some or all columns of them. */
export function crossEntropyGrad(logits: Value, { max, scales, weights, labels }: CrossEntropyRows): Value {
  return applyOne(crossEntropyGradOp, [logits, max, scales, weights, labels], {});
}
