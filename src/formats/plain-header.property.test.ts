import fc from "fast-check";
import { expect, it } from "vitest";
import { readPlainHeader } from "./plain-header.ts";
import { plainObject } from "./plain-json.ts";

const name = fc.string({ unit: fc.constantFrom("a", "b", ".", "0", "é", "_", "😀"), maxLength: 6 });
const shape = fc.array(fc.integer({ min: 0, max: 70 }), { maxLength: 3 });

/** A header as the library writes it. */
const headerText = fc
  .record({ names: fc.uniqueArray(name, { minLength: 1, maxLength: 5 }), shape, metadata: fc.option(fc.dictionary(name, name)) })
  .map(({ names, shape, metadata }) => {
    const bytes = 2 * shape.reduce((product, size) => product * size, 1);
    const entries = names.map((key, i) => [key, { dtype: "BF16", shape, data_offsets: [i * bytes, (i + 1) * bytes] }]);
    const all = [...(metadata === null ? [] : [["__metadata__", metadata]]), ...entries] as [string, unknown][];
    return `${JSON.stringify(Object.fromEntries(all))}${" ".repeat(names.length)}`;
  });

/** A text with one character put in, left out or changed, or none. */
const mutated = (text: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc
    .tuple(text, fc.nat(), fc.nat({ max: 2 }), fc.constantFrom(...'{}[]",:\\ 0123456789-.eE\n\u0001BF16_ab'.split("")))
    .map(([whole, at, cut, put]) => {
      const place = at % (whole.length + 1);
      return cut === 2 ? whole : whole.slice(0, place) + put + whole.slice(place + cut);
    });

interface Raw {
  readonly dtype: string;
  readonly shape: number[];
  readonly data_offsets: [number, number];
}

it("reads what a JSON parser reads of a header, or gives up", () => {
  let read = 0;
  fc.assert(
    fc.property(mutated(headerText), (text) => {
      const header = readPlainHeader(text, 100);
      if (header === null) return;
      read++;
      const { __metadata__: metadata = {}, ...values } = JSON.parse(text) as Record<string, unknown>;
      expect(header.metadata).toEqual(metadata);
      const last = new Map(header.entries.map((entry) => [entry.name, entry]));
      expect([...last.keys()].sort()).toEqual(Object.keys(values).sort());
      for (const [key, value] of Object.entries(values) as [string, Raw][]) {
        const { dtype, shape: sizes, start, end } = last.get(key) ?? {};
        expect([dtype, sizes, start, end]).toEqual([value.dtype, value.shape, ...value.data_offsets]);
      }
    }),
    { numRuns: 5_000 },
  );
  expect(read).toBeGreaterThan(1_000);
});

it("reads what a JSON parser reads of an object of strings, or gives up", () => {
  let read = 0;
  const object = fc.tuple(fc.dictionary(name, name), fc.constantFrom(0, 2)).map(([value, indent]) => JSON.stringify(value, null, indent));
  fc.assert(
    fc.property(mutated(object), (text) => {
      const found = plainObject(text, 0, 100);
      if (found === null) return;
      read++;
      const pairs = [...found.pairs].filter(([key]) => key !== "__proto__");
      expect(Object.fromEntries(pairs)).toEqual(JSON.parse(text.slice(0, found.end)));
    }),
    { numRuns: 5_000 },
  );
  expect(read).toBeGreaterThan(1_000);
});
