import { afterAll, beforeAll, expect, test } from "vitest";
import { TinyWorkshop, losses } from "./fixtures/tiny-run.ts";
let w: TinyWorkshop;
beforeAll(async () => { w = await TinyWorkshop.open(); });
afterAll(() => w.close());
test("runs", async () => {
  const t0 = performance.now();
  const told = await w.train();
  console.log(performance.now() - t0, losses(told.events), told.result);
  const t1 = performance.now();
  const c = await w.continue(told.result.run);
  console.log(performance.now() - t1, losses(c.events), c.events.filter((e)=>e.type!=="step"));
  const t2 = performance.now();
  await w.train({},{inline:false});
  console.log(performance.now() - t2);
  expect(1).toBe(1);
});
