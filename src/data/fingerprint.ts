import { createHash, type Hash } from "node:crypto";
import type { Example } from "./example.ts";

type Tokens = Pick<Example, "inputIds" | "labels">;

/** The fingerprint of examples that come one by one. */
export class ExampleHash {
  readonly #hash: Hash = createHash("sha256");

  add({ inputIds, labels }: Tokens): void {
    this.#hash.update(Int32Array.of(inputIds.length)).update(inputIds).update(labels);
  }

  digest(): string {
    return this.#hash.digest("hex");
  }
}

/** SHA-256 over the lengths, ids and labels of all examples; equal content gives an equal fingerprint, wherever it lies. */
export function fingerprintExamples(examples: Iterable<Tokens>): string {
  const hash = new ExampleHash();
  for (const example of examples) hash.add(example);
  return hash.digest();
}
