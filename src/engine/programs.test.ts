import { expect, test } from "vitest";
import type { Program, Runtime } from "../compute/index.ts";
import { openEngine } from "./fixtures/tiny-engine.ts";
import { type HeadPlan, ProgramCache } from "./programs.ts";

/** Compiles nothing: fails where it is told to, counted from 0, and notes what is released. */
function fakeRuntime(failing: { readonly compile: readonly number[]; readonly dispose: readonly number[] }) {
  const released: number[] = [];
  let compiled = 0;
  const compile = async (): Promise<Program> => {
    const id = compiled++;
    if (failing.compile.includes(id)) throw new RangeError(`no memory for ${id}`);
    const dispose = async (): Promise<void> => {
      if (failing.dispose.includes(id)) throw new RangeError(`${id} stays`);
      released.push(id);
    };
    return { dispose } as unknown as Program;
  };
  return { runtime: { compile } as unknown as Runtime, released };
}

let tinySize = 0;

async function openCache(runtime: Runtime): Promise<ProgramCache> {
  const { model } = await openEngine();
  await model.dispose();
  tinySize = model.spec.hiddenSize;
  return new ProgramCache(runtime, model.spec, "keep", 1);
}

/** A head of two outputs on the tiny model's hidden size, for so many rows. */
function plan(rows: number): HeadPlan {
  return { rows, head: { inFeatures: tinySize, outFeatures: 2, bias: false, lora: null }, dropout: 0 };
}

test("a graph that could not be compiled once is compiled when it is asked for again, and all are released", async () => {
  const { runtime, released } = fakeRuntime({ compile: [0], dispose: [] });
  const programs = await openCache(runtime);
  await expect(programs.headLogits(plan(1))).rejects.toThrow("no memory for 0");
  const again = await programs.headLogits(plan(1));
  expect(await programs.headLogits(plan(1))).toBe(again);
  await programs.headLogits(plan(2));
  await programs.dispose();
  expect(released).toEqual([1, 2]);
});

test("a graph that cannot be released does not keep the others, and is told", async () => {
  const { runtime, released } = fakeRuntime({ compile: [], dispose: [0] });
  const programs = await openCache(runtime);
  for (const rows of [1, 2, 3]) await programs.headLogits(plan(rows));
  await expect(programs.dispose()).rejects.toThrow("0 stays");
  expect(released).toEqual([1, 2]);
});
