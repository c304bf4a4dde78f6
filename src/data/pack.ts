import { InternalError } from "../core/index.ts";

/**
 * First-fit packing (Johnson 1973): each item goes into the first row that still has room, else opens a new one. A tree
 * over the rows' free room finds that row in O(log n), so an epoch of a million rows packs in about a second.
 *
 * @param order indices of items, in the order in which they are placed
 * @param lengths length of each item, 1 to `capacity`
 * @returns rows of item indices; every item of `order` is in exactly one
 */
export function packFirstFit(order: ArrayLike<number>, lengths: ArrayLike<number>, capacity: number): number[][] {
  const rows: number[][] = [];
  const leaves = 2 ** Math.ceil(Math.log2(Math.max(1, order.length)));
  // tree[1] is the root, tree[leaves + r] the free room of row r; rows not opened yet have all of it.
  const tree = new Float64Array(2 * leaves).fill(capacity);
  for (let i = 0; i < order.length; i++) {
    const item = order[i] as number;
    const length = lengths[item] as number;
    if (length < 1 || length > capacity) throw new InternalError(`an item of length ${length} cannot be packed into rows of ${capacity}`);
    let node = 1;
    while (node < leaves) node = (tree[2 * node] as number) >= length ? 2 * node : 2 * node + 1;
    const row = node - leaves;
    const placed = rows[row];
    if (placed === undefined) rows.push([item]);
    else placed.push(item);
    tree[node] = (tree[node] as number) - length;
    for (node >>= 1; node >= 1; node >>= 1) tree[node] = Math.max(tree[2 * node] as number, tree[2 * node + 1] as number);
  }
  return rows;
}
