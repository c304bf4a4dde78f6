import { describe, expect, it } from "vitest";
import { memorySource } from "../core/index.ts";
import { parseJson, printable, readJson } from "./index.ts";

const parse = (text: string): unknown => parseJson(text, "file.json");

describe("parseJson", () => {
  it.each(['{"a":[1,-2.5e3,true,false,null,"x"],"b":{"c":{}}}', " [ ] ", '"\\u00e9\\n\\/\\ud83d\\ude00"', "0", "-0", "1E+2", '{"":1}'])(
    "agrees with JSON.parse on %s",
    (text) => {
      expect(parse(text)).toEqual(JSON.parse(text));
    },
  );

  it("reads NaN and infinities as Python writes them", () => {
    expect(parse('{"a": NaN, "b": [Infinity, -Infinity]}')).toEqual({
      a: Number.NaN,
      b: [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
    });
    expect(() => parseJson("NaN", "x", { nonFinite: false })).toThrow(/expected a JSON value, found "NaN"/);
  });

  it.each([
    ["", 1, 1, "a JSON value"],
    ['{"a": 1,\n  "b" 2}', 2, 7, '":" after a key'],
    ["[1, 2", 1, 6, '"," or "]"'],
    ['{"a": 1,}', 1, 9, "a key in double quotes"],
    ['["abc', 1, 6, "a closing quote"],
    ['"a\tb"', 1, 3, "control characters in strings to be escaped"],
    ['"\\x"', 1, 2, "a known escape after the backslash"],
    ["01", 1, 2, "the end of the file"],
    ["nul", 1, 1, "a JSON value"],
  ])("says where %j is wrong", (text, line, column, expected) => {
    expect(() => parse(text)).toThrow(expect.objectContaining({ code: "JSON_INVALID", details: { line, column } }));
    expect(() => parse(text)).toThrow(`line ${line}, column ${column}: expected ${expected}`);
  });

  it("takes the last of two equal keys, or refuses them when asked", () => {
    expect(parse('{"a":1,"a":2}')).toEqual({ a: 2 });
    expect(() => parseJson('{"a":1,"b":{"c":1,"c":2}}', "x", { duplicateKeys: "refuse" })).toThrow(/column 19: expected each key once/);
  });

  it("keeps __proto__ as an ordinary key", () => {
    const value = parse('{"__proto__":{"polluted":true}}') as object;
    expect(Object.keys(value)).toEqual(["__proto__"]);
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
  });

  it("refuses nesting beyond its limit without exhausting the stack", () => {
    expect(() => parse("[".repeat(1_000_000))).toThrow(/at most 100 levels/);
    expect(() => parse('{"a":'.repeat(1_000_000))).toThrow(/at most 100 levels/);
    expect(parse("[".repeat(100) + "]".repeat(100))).toBeInstanceOf(Array);
  });

  it("refuses more values than it was allowed", () => {
    expect(() => parseJson("[1,2,3,4]", "x", { maxValues: 4 })).toThrow(/fewer values/);
    expect(parseJson("[1,2,3,4]", "x", { maxValues: 5 })).toEqual([1, 2, 3, 4]);
  });

  it("never echoes control characters of the file or its name", () => {
    try {
      parseJson('\u001b[2J"', "evil\u001b]0;x\u0007.json");
      expect.unreachable();
    } catch (error) {
      expect((error as Error).message).toBe(
        'evil\\u001b]0;x\\u0007.json: line 1, column 1: expected a JSON value, found "\\u001b[2J\\""'.replace('\\"', '"'),
      );
    }
  });

  it("recognizes a Git LFS pointer and says how to get the file", () => {
    const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${"ab".repeat(32)}\nsize 1049\n`;
    expect(() => parse(pointer)).toThrow(
      expect.objectContaining({
        code: "LFS_POINTER",
        details: { oid: `sha256:${"ab".repeat(32)}`, size: 1049 },
        hint: expect.stringContaining("git lfs pull"),
      }),
    );
  });
});

describe("readJson", () => {
  it("takes off a byte order mark, and CRLF", async () => {
    expect(await readJson(memorySource(new TextEncoder().encode('\ufeff{\r\n"a": 1\r\n}')))).toEqual({ a: 1 });
  });

  it("refuses bytes that are not UTF-8, and files beyond its limit", async () => {
    await expect(readJson(memorySource(Uint8Array.of(0x22, 0xff, 0x22)))).rejects.toMatchObject({ code: "JSON_INVALID" });
    await expect(readJson(memorySource(new Uint8Array(11)), { maxBytes: 10 })).rejects.toMatchObject({ code: "JSON_INVALID" });
  });
});

describe("printable", () => {
  it("escapes what could hide or reorder text, and cuts what is long", () => {
    expect(printable("a\u0000\u007f\u009b\u202e\u200b\u2028b")).toBe("a\\u0000\\u007f\\u009b\\u202e\\u200b\\u2028b");
    expect(printable("x".repeat(500))).toHaveLength(161);
    expect(printable("ü 漢 😀")).toBe("ü 漢 😀");
  });
});

describe("a large file", () => {
  const entries = Array.from({ length: 6000 }, (_, i) => `"tensor.${i} \\" : {": {"a": [${i}, -1.5e3, null, true, "x"]}`);
  const text = `{${entries.join(",\n")}}`;

  it("is read to the same value as by JSON.parse", () => {
    expect(text.length).toBeGreaterThan(65_536);
    expect(parseJson(text, "large.json", { duplicateKeys: "refuse" })).toEqual(JSON.parse(text));
  });

  it.each([
    ["a key twice", `{${[...entries, entries[5999]].join(",\n")}}`, /each key once/],
    ["a key twice, deep inside", text.replace('{"a": [0,', '{"a": 1, "a": [0,'), /each key once/],
    ["what is no JSON at its end", `${text}]`, /line 6000, column \d+: expected the end of the file/],
    ["too many values", text, /fewer values/, 100],
    ["too deep a nesting", `${text.slice(0, -1)},"deep":${"[".repeat(200)}${"]".repeat(200)}}`, /at most 100 levels/],
  ])("is refused for %s, with the place", (_what, damaged, message, maxValues?: number) => {
    expect(() => parseJson(damaged, "large.json", { duplicateKeys: "refuse", ...(maxValues === undefined ? {} : { maxValues }) })).toThrow(
      message,
    );
  });

  it("may hold NaN, and keys twice where the last counts", () => {
    const odd = `${text.slice(0, -1)},"loss":NaN,"k":1,"k":2,"__proto__":3}`;
    const value = parseJson(odd, "large.json") as Record<string, unknown>;
    expect(value["loss"]).toBeNaN();
    expect(value["k"]).toBe(2);
    expect(Object.keys(value)).toContain("__proto__");
  });
});
