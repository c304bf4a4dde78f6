import { apply, at, checkDtype, checkRank } from "../node.ts";
import type { Op, ReferenceTensor, Value } from "../types.ts";

// What a softmax over columns needs to know of a part of them: m = max x and s = Σ exp(x − m) of each row. Parts are put
// together as M = max m, S = Σ s exp(m − M); then ln Σ exp x = M + ln S.
export const softmaxSumsOp: Op = Object.freeze<Op>({
  name: "softmaxSums",
  infer([input]) {
    const logits = input as Value;
    checkRank("softmaxSums: logits", logits, 2);
    checkDtype("softmaxSums: logits", logits, "float32");
    const column = { shape: [at(logits.shape, 0), 1], dtype: "float32" } as const;
    return [column, column];
  },
  withoutGradient: "all",
  evaluate([input]) {
    const { data, shape } = input as ReferenceTensor;
    const [rows, width] = shape as readonly [number, number];
    const [max, sum] = [new Float64Array(rows), new Float64Array(rows)];
    for (let n = 0; n < rows; n++) {
      const row = data.subarray(n * width, (n + 1) * width);
      const largest = row.reduce((a, b) => Math.max(a, b), -Infinity);
      max[n] = largest;
      sum[n] = row.reduce((total, x) => total + Math.exp(x - largest), 0);
    }
    return [
      { shape: [rows, 1], data: max },
      { shape: [rows, 1], data: sum },
    ];
  },
  onnx: {
    lower(node, emit) {
      const logits = emit.name(at(node.inputs, 0));
      const [max, sum] = node.outputs.map((value) => emit.name(value)) as [string, string];
      const axes = emit.constant([1], [1], "int64");
      const one = (opType: string, inputs: readonly string[]): string => at(emit.node(opType, inputs, 1), 0);
      emit.node("ReduceMax", [logits, axes], [max], { keepdims: { int: 1 } });
      emit.node("ReduceSum", [one("Exp", [one("Sub", [logits, max])]), axes], [sum], { keepdims: { int: 1 } });
    },
  },
  recompute: "never",
});

/** The largest value m of each row of `logits` [N,V], and Σ exp(x − m): `[max [N,1], sum [N,1]]`. */
export function softmaxSums(logits: Value): readonly [Value, Value] {
  return apply(softmaxSumsOp, [logits], {}) as readonly [Value, Value];
}
