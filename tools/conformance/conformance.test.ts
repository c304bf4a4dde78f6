import { describe, expect, it } from "vitest";
import { HeirloomError } from "../../src/core/index.ts";
import { type Check, type Measure, runCheck, type VectorSet, worstOf } from "./check.ts";
import { largest, largestDifference, relativeDifference, sameBytes, sameList, sameSet } from "./compare.ts";
import { allPassed, jsonDocument, resultLines } from "./report.ts";
import { select } from "./selection.ts";

const check = (name: string, kind: Check["kind"], run: Check["run"] = () => Promise.resolve([])): Check => ({ case: name, kind, run });
const sets: VectorSet[] = [
  { name: "arch-variants", checks: [check("qwen3", "logits"), check("qwen3", "gradients"), check("gemma2", "logits")] },
  { name: "nf4", checks: [check("codebook", "values")] },
];
const chosen = (...only: string[]) =>
  select(sets, only).flatMap((set) => set.checks.map(({ case: name, kind }) => `${set.name}/${name}:${kind}`));

describe("--only", () => {
  it("names a set, a case, a check, or several of them", () => {
    expect(chosen()).toHaveLength(4);
    expect(chosen("nf4")).toEqual(["nf4/codebook:values"]);
    expect(chosen("arch-variants/qwen3")).toEqual(["arch-variants/qwen3:logits", "arch-variants/qwen3:gradients"]);
    expect(chosen("arch-variants:logits")).toEqual(["arch-variants/qwen3:logits", "arch-variants/gemma2:logits"]);
    expect(chosen("arch-variants/qwen3:gradients", "nf4")).toEqual(["arch-variants/qwen3:gradients", "nf4/codebook:values"]);
    expect(chosen("nf4,arch-variants/gemma2")).toEqual(["arch-variants/gemma2:logits", "nf4/codebook:values"]);
  });

  it.each([
    ["arch-variant", /no set/],
    ["arch-variants/qwen9", /no case/],
    ["nf4:logit", /no check/],
    ["/x", /SET/],
  ])("refuses %s, saying what there is", (text, message) => {
    expect(() => select(sets, [text])).toThrow(expect.objectContaining({ code: "USAGE", message: expect.stringMatching(message) }));
  });
});

describe("runCheck", () => {
  const measure = (error: number): Measure => ({ what: "logits", error, tolerance: 1e-5 });
  const run = (finding: Check["run"]) => runCheck("set", check("case", "logits", finding));

  it("passes within the tolerance and fails beyond it, or where nothing was compared", async () => {
    expect((await run(() => Promise.resolve([measure(1e-5)]))).status).toBe("pass");
    expect((await run(() => Promise.resolve([measure(1e-6), measure(2e-5)]))).status).toBe("fail");
    expect((await run(() => Promise.resolve([measure(Number.NaN)]))).status).toBe("fail");
    expect((await run(() => Promise.resolve([]))).status).toBe("fail");
  });

  it("calls a refusal by name unsupported, and any other error a failure", async () => {
    const refused = await run(() => Promise.reject(new HeirloomError("ARCHITECTURE_UNSUPPORTED", "gemma2 is not supported")));
    expect(refused).toMatchObject({ status: "unsupported", reason: "gemma2 is not supported" });
    expect((await run(() => Promise.reject(new HeirloomError("TENSOR_SHAPE", "expected [2]")))).status).toBe("fail");
    expect((await run(() => Promise.resolve({ unsupported: "not yet" }))).status).toBe("unsupported");
  });

  it("is a success only if all passed", async () => {
    const passed = await run(() => Promise.resolve([measure(0)]));
    const left = await run(() => Promise.resolve({ unsupported: "not yet" }));
    expect(allPassed([passed])).toBe(true);
    expect(allPassed([passed, left])).toBe(false);
    expect(allPassed([])).toBe(false);
    expect(resultLines(left).join()).toContain("unsupported: not yet");
    expect(jsonDocument("dir", [passed, left])).toMatchObject({
      schemaVersion: 1,
      ok: false,
      sets: [{ set: "set", status: "unsupported", cases: [{ case: "case", checks: [{ largest: { error: 0 } }, { reason: "not yet" }] }] }],
    });
  });

  it("names the comparison nearest to its tolerance", () => {
    expect(worstOf([measure(1e-6), { what: "loss", error: 2e-6, tolerance: 1e-6 }])?.what).toBe("loss");
    expect(worstOf([measure(1e-5), { what: "names", error: 1, tolerance: 0 }])?.what).toBe("names");
    expect(worstOf([measure(1e-6), measure(Number.NaN)])?.error).toBeNaN();
  });
});

describe("comparisons", () => {
  it("find the largest difference, and take NaN or another length for an infinite one", () => {
    expect(largestDifference([1, 2, 3], [1, 2.5, 9], { counts: (i) => i < 2 })).toBe(0.5);
    expect(largestDifference([1, 2], [1, 2.5], { room: () => 0.25 })).toBe(0.25);
    expect(largestDifference([1], [Number.NaN])).toBe(Number.POSITIVE_INFINITY);
    expect(largestDifference([1], [1, 2])).toBe(Number.POSITIVE_INFINITY);
    expect(largest("x", 1, [["a", Number.NaN]]).error).toBe(Number.POSITIVE_INFINITY);
    expect(relativeDifference([0, -4], [0, -3])).toBe(0.25);
    expect([relativeDifference([0], [0]), relativeDifference([0], [1e-9])]).toEqual([0, Number.POSITIVE_INFINITY]);
  });

  it("tell bytes apart where numbers are equal", () => {
    expect(sameBytes("x", Float32Array.of(0), Float32Array.of(-0)).error).toBe(1);
    expect(sameBytes("x", Uint8Array.of(1), Uint8Array.of(1, 2)).error).toBe(1);
  });

  it("say the first entry in which lists differ", () => {
    expect(sameList("x", ["a", "b"], ["a"])).toMatchObject({ error: 1, detail: "expected b, found nothing" });
    expect(sameSet("x", ["a", "b"], ["b", "c"])).toMatchObject({ error: 2, detail: "missing a; not expected c" });
    expect(sameSet("x", ["a", "b"], ["b", "a"]).error).toBe(0);
  });
});
