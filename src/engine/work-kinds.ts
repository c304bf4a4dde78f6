import type { Graph, Node, Value } from "../compute/index.ts";

/** What the time of a graph's nodes is put down to in a profile. */
export type WorkKind = "base" | "lora" | "attention" | "elementwise" | "copies" | "head";

const PRODUCTS = new Set<Node["op"]>(["gemm", "matmul"]);
const ATTENTION = new Set<Node["op"]>(["attention", "attentionGrad", "cachedAttention"]);
const COPIES = new Set<Node["op"]>(["reshape", "transpose", "slice", "pad", "split", "concat", "expand", "gather"]);

const LORA_INPUT = /\.lora_[AB]$/;

function readsLora(node: Node): boolean {
  return node.inputs.some(({ node: source }) => source.op === "input" && LORA_INPUT.test(String(source.attributes["name"])));
}

/** The products whose results are, but for what is done element by element, gradients of LoRA matrices. */
function loraGradients({ outputs }: Graph, gradientPrefix: string): Set<Node> {
  const found = new Set<Node>();
  const pending: Value[] = Object.entries(outputs).flatMap(([name, value]) =>
    name.startsWith(gradientPrefix) && LORA_INPUT.test(name) ? [value] : [],
  );
  for (let value = pending.pop(); value !== undefined; value = pending.pop()) {
    if (PRODUCTS.has(value.node.op)) found.add(value.node);
    else pending.push(...value.node.inputs);
  }
  return found;
}

/**
 * What each node of a block's graph is for. A product is LoRA's if it reads one of its matrices (x·Aᵀ, t·B, and the
 * gradients that flow back through them) or makes the gradient of one; every other product is over a weight of the base.
 *
 * @param gradientPrefix what the names of outputs that are gradients begin with
 */
export function blockKinds(graph: Graph, gradientPrefix: string): (node: Node) => WorkKind {
  const gradients = loraGradients(graph, gradientPrefix);
  return (node) => {
    if (PRODUCTS.has(node.op)) return readsLora(node) || gradients.has(node) ? "lora" : "base";
    if (ATTENTION.has(node.op)) return "attention";
    return COPIES.has(node.op) ? "copies" : "elementwise";
  };
}

/** The head is one thing: its norm, products, loss and their gradients. */
export function headKinds(): () => WorkKind {
  return () => "head";
}
