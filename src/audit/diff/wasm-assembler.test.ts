import { afterEach, describe, expect, it, vi } from "vitest";
import { compile, i32, Locals, repeatWhile } from "./wasm-assembler.ts";

afterEach(() => vi.unstubAllGlobals());

/** `(count, step)`: adds steps up, `count` times. */
function product() {
  const locals = new Locals(2);
  const [count, step, sum, done] = [locals.parameter(0), locals.parameter(1), locals.i32(), locals.i32()];
  const loop = repeatWhile(
    [sum.set(i32.add(sum.get, step.get)), done.set(i32.add(done.get, i32.const(1)))],
    i32.lessThan(done.get, count.get),
  );
  return locals.function([loop], sum.get);
}

describe("compile", () => {
  it("makes functions with parameters, variables and loops", () => {
    const compiled = compile(1, { product: product() });
    expect(compiled?.functions.product(7, 6)).toBe(42);
    expect(compiled?.memory.byteLength).toBe(65_536);
  });

  it("writes constants of every length", () => {
    for (const value of [0, 1, -1, 63, 64, -64, -65, 127, 128, 8191, 8192, -8192, -8193, 0x7fff, 2 ** 31 - 1, -(2 ** 31)])
      expect(compile(1, { value: new Locals(0).function([], i32.const(value)) })?.functions.value()).toBe(value);
  });

  it("gives null where there is no WebAssembly, or none with these instructions", () => {
    vi.stubGlobal("WebAssembly", undefined);
    expect(compile(1, { product: product() })).toBeNull();
    vi.stubGlobal("WebAssembly", { validate: () => false });
    expect(compile(1, { product: product() })).toBeNull();
  });
});
