import { add, graph, input } from "../graph/index.ts";
import type { Peer } from "./peer.ts";
import { compileProgram, type Device, type OutputCopy } from "./program.ts";

const LENGTH = 257; // odd, so that vector kernels have a rest
const UNTOUCHED = -1;

/**
 * Tries out whether a program that treats outputs this way writes all of them,
 * right, into the middle of arrays that it is given, and again in a second run.
 *
 * @returns what went wrong; nothing if it works
 */
export async function outputCopyFault(peer: Peer, device: Device, outputCopy: OutputCopy): Promise<unknown> {
  const x = input("x", [LENGTH]);
  const doubled = add(x, x);
  try {
    const program = await compileProgram(peer, device, outputCopy, graph({ outputs: { doubled, tripled: add(doubled, x) } }), {
      name: "self-test",
      threads: 1,
    });
    try {
      for (const first of [1, 1000]) {
        const feed = Float32Array.from({ length: LENGTH }, (_, i) => first + i);
        const memory = new Float32Array(2 * LENGTH + 3).fill(UNTOUCHED);
        await program.run({ x: feed }, { doubled: memory.subarray(1, 1 + LENGTH), tripled: memory.subarray(2 + LENGTH, 2 + 2 * LENGTH) });
        const expected = [UNTOUCHED, ...feed.map((v) => 2 * v), UNTOUCHED, ...feed.map((v) => 3 * v), UNTOUCHED];
        const wrong = expected.findIndex((value, i) => memory[i] !== value);
        if (wrong >= 0) return `element ${wrong}: expected ${expected[wrong]}, found ${memory[wrong]}`;
      }
      return undefined;
    } finally {
      await program.dispose();
    }
  } catch (error) {
    return error;
  }
}
