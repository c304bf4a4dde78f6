import { applyOne, at, checkDtype, checkRank } from "../node.ts";
import type { Op, ReferenceTensor, Value } from "../types.ts";

// y[n] = table[ids[n]] for table [V,D], ids [N]. No gradient to the table, by declaration: rows are
// looked up and gradients scattered outside of the graphs.
export const gatherOp: Op = Object.freeze<Op>({
  name: "gather",
  infer([table, ids]) {
    checkRank("gather: table", table as Value, 2);
    checkRank("gather: ids", ids as Value, 1);
    checkDtype("gather: ids", ids as Value, "int32", "int64");
    return [{ shape: [at((ids as Value).shape, 0), at((table as Value).shape, 1)], dtype: (table as Value).dtype }];
  },
  withoutGradient: "all",
  evaluate(inputs) {
    const [table, ids] = inputs as readonly [ReferenceTensor, ReferenceTensor];
    const width = at(table.shape, 1);
    const data = new Float64Array(ids.data.length * width);
    for (const [n, id] of ids.data.entries()) data.set(table.data.subarray(id * width, (id + 1) * width), n * width);
    return [{ shape: [ids.data.length, width], data }];
  },
  onnx: { opType: "Gather", attributes: () => ({ axis: { int: 0 } }) },
  recompute: "cheap",
});

/** Rows `ids` [N] of `table` [V,D] → [N,D]; not differentiated. */
export function gather(table: Value, ids: Value): Value {
  return applyOne(gatherOp, [table, ids], {});
}
