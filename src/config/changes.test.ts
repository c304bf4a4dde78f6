import { describe, expect, it } from "vitest";
import { isHeirloomError } from "../core/index.ts";
import { changeFlags, parseChanges } from "./index.ts";

function problemsOf(texts: string[]): readonly unknown[] {
  try {
    parseChanges(texts);
  } catch (error) {
    if (isHeirloomError(error)) return error.problems;
  }
  return [];
}

describe("parseChanges", () => {
  it("reads typed values", () => {
    const { named, values } = parseChanges([
      "rank=64",
      "modulesToSave=[embed_tokens, lm_head]",
      "layers=null",
      "ensureWeightTying=true",
      "base=/m",
    ]);
    expect(values).toEqual({ rank: 64, modulesToSave: ["embed_tokens", "lm_head"], layers: null, ensureWeightTying: true, base: "/m" });
    expect([...named]).toEqual(["rank", "modulesToSave", "layers", "ensureWeightTying", "base"]);
  });

  it("lets a change be named without a value, which is then the file's", () => {
    const { named, values } = parseChanges(["groups", "rank"]);
    expect([...named]).toEqual(["groups", "rank"]);
    expect(values).toEqual({});
  });

  it("refuses unknown names with the nearest known one, wrong values and repeated names, all at once", () => {
    expect(problemsOf(["rnk=64", "rank=half", "alpha=0", "alpha=4", "layers=[]", "groups=x"])).toMatchObject([
      { code: "USAGE", where: "--change rnk=64", hint: "did you mean rank?" },
      { where: "--change rank=half", message: 'expected a whole number above 0, found "half"' },
      { where: "--change alpha=0" },
      { where: "--change alpha=4", message: '"alpha" is named twice' },
      { where: "--change layers=[]" },
      { where: "--change groups=x" },
    ]);
    expect(problemsOf(["__proto__=1", "toString"])).toHaveLength(2);
  });

  it("becomes flags of the keys that it stands for", () => {
    expect(changeFlags(parseChanges(["rank=64", "groups"]))).toEqual([{ key: "adapter.rank", value: 64, flag: "--change rank" }]);
  });
});
