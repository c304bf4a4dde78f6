// compute/reference: walks a graph in float64 with the ops' plain evaluations. Knows no op by name and no runtime.
export { evaluateReference, type ReferenceFeed } from "./evaluate.ts";
