import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { paint, renderJson, renderTable } from "./index.ts";

const CONTROL = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/;
const plain = paint(false);

describe("renderJson and renderTable", () => {
  it("never let a control character through, whatever is in a name", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (name) => {
        const json = renderJson({ name });
        expect(json).not.toMatch(CONTROL);
        expect((JSON.parse(json) as { name: string }).name).toBe(name);
        expect(renderTable([{ title: "name" }], [[name]], plain).split("\n")).toHaveLength(2);
        expect(renderTable([{ title: "name" }], [[name]], plain)).not.toMatch(CONTROL);
      }),
    );
  });
});
