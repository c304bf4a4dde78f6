/** Moves what is larger than a pivot of `list[from..to)` to its front; returns where the larger, and where the equal ones end. */
function partition(list: Float64Array, from: number, to: number): [largerEnd: number, equalEnd: number] {
  const pivot = list[from + ((to - from) >>> 1)] as number;
  let [larger, at, smaller] = [from, from, to];
  while (at < smaller) {
    const value = list[at] as number;
    if (value > pivot) {
      list[at++] = list[larger] as number;
      list[larger++] = value;
    } else if (value < pivot) {
      list[at] = list[--smaller] as number;
      list[smaller] = value;
    } else at++;
  }
  return [larger, smaller];
}

/** The k-th largest of `values`, k from 1. In linear time: sorting a vocabulary takes longer than the model's head. */
export function kthLargest(values: ArrayLike<number>, k: number, scratch: Float64Array): number {
  scratch.set(values);
  let [from, to] = [0, values.length];
  for (;;) {
    const [larger, equal] = partition(scratch, from, to);
    if (k <= larger) to = larger;
    else if (k > equal) from = equal;
    else return scratch[larger] as number;
  }
}

/** The largest weight t for which the weights ≥ t sum to at least `target`; all weights are ≥ 0. */
export function smallestOfShare(weights: ArrayLike<number>, target: number, scratch: Float64Array): number {
  scratch.set(weights);
  let [from, to, rest] = [0, weights.length, target];
  while (from < to) {
    const [larger, equal] = partition(scratch, from, to);
    let sum = 0;
    for (let i = from; i < larger; i++) sum += scratch[i] as number;
    if (sum >= rest && larger > from) {
      to = larger;
      continue;
    }
    const equals = (equal - larger) * (scratch[larger] as number);
    if (sum + equals >= rest) return scratch[larger] as number;
    rest -= sum + equals;
    from = equal;
  }
  return 0; // rounding: all of them together just miss the target
}
