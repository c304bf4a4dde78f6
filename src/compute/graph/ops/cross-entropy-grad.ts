import { applyOne, at, checkRank, checkShape } from "../node.ts";
import type { Op, ReferenceTensor, Value } from "../types.ts";
import { emitLabelColumn } from "./cross-entropy.ts";

// The derivative of crossEntropy: dx_v = (p_v − [v = label]) dloss, 0 in rows with a negative label.
export const crossEntropyGradOp: Op = Object.freeze<Op>({
  name: "crossEntropyGrad",
  infer([dloss, input, labels]) {
    const probabilities = input as Value;
    checkRank("crossEntropyGrad: probabilities", probabilities, 2);
    checkShape("crossEntropyGrad: dloss", dloss as Value, [at(probabilities.shape, 0)]);
    checkShape("crossEntropyGrad: labels", labels as Value, [at(probabilities.shape, 0)]);
    return [{ shape: probabilities.shape, dtype: "float32" }];
  },
  withoutGradient: "all",
  evaluate(inputs) {
    const [dloss, probabilities, labels] = inputs as readonly [ReferenceTensor, ReferenceTensor, ReferenceTensor];
    const width = at(probabilities.shape, 1);
    const data = probabilities.data.map((p, i) => {
      const [row, column] = [Math.floor(i / width), i % width];
      const label = at(labels.data, row);
      return label < 0 ? 0 : (p - (column === label ? 1 : 0)) * at(dloss.data, row);
    });
    return [{ shape: probabilities.shape, data }];
  },
  onnx: {
    // p dloss and the scatter can both be done in place; it costs nothing beside the head's two products.
    lower(node, emit) {
      const [dloss, probabilities, labels] = node.inputs.map((value) => emit.name(value)) as [string, string, string];
      const one = (opType: string, inputs: readonly string[]): string => at(emit.node(opType, inputs, 1), 0);
      const rows = at(at(node.inputs, 1).shape, 0);
      const labelled = one("GreaterOrEqual", [labels, emit.constant([0], [], "int32")]);
      const weights = one("Where", [labelled, dloss, emit.constant([0], [], "float32")]);
      const column = one("Reshape", [weights, emit.constant([rows, 1], [2], "int64")]);
      const scaled = one("Mul", [probabilities, column]);
      const inputs = [scaled, emitLabelColumn(labels, rows, emit), one("Neg", [column])];
      emit.node("ScatterElements", inputs, [emit.name(at(node.outputs, 0))], { axis: { int: 1 }, reduction: { string: "add" } });
    },
  },
  recompute: "never",
});

/** Gradient of the logits from that of the loss [N], crossEntropy's probabilities [N,V] and the labels [N]. */
export function crossEntropyGrad(dloss: Value, probabilities: Value, labels: Value): Value {
  return applyOne(crossEntropyGradOp, [dloss, probabilities, labels], {});
}
