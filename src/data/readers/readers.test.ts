import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { isHeirloomError } from "../../core/index.ts";
import { type Container, readRows, type TextRows } from "./index.ts";

const folder = mkdtempSync(join(tmpdir(), "heirloom-readers-"));
afterAll(() => rmSync(folder, { recursive: true }));
const vectors = (name: string): string => new URL(`../../../vectors/data/${name}`, import.meta.url).pathname;

let files = 0;
function file(name: string, content: string | Uint8Array): string {
  const own = join(folder, String(++files));
  mkdirSync(own);
  writeFileSync(join(own, name), content);
  return join(own, name);
}

async function read(path: string, textRows: TextRows = "file"): Promise<{ container: Container | null; rows: [number, unknown][] }> {
  let container: Container | null = null;
  const rows: [number, unknown][] = [];
  for await (const { row, value } of readRows(path, textRows, (found) => {
    container = found.container;
  }))
    rows.push([row, value]);
  return { container, rows };
}

async function fault(path: string): Promise<string> {
  const error: unknown = await read(path).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!isHeirloomError(error)) expect.fail(`expected an error of ours, got ${String(error)}`);
  return `${error.code} ${error.problems[0].where?.replace(/^.*\//, "") ?? ""}: ${error.problems[0].message}`;
}

describe("a file is told by its name and its first bytes:", () => {
  test.each<[string, string | Uint8Array, Container]>([
    ["a.jsonl", '{"text":"a"}\n{"text":"b"}', "jsonl"],
    ["a.ndjson", '{"text":"a"}\n{"text":"b"}', "jsonl"],
    ["a.json", '[{"text":"a"},{"text":"b"}]', "json"],
    ["lines.json", '{"text":"a"}\n{"text":"b"}\n', "jsonl"],
    ["wrapped.json", '{"data":[{"text":"a"},{"text":"b"}]}', "json"],
    ["list.jsonl", '[\n{"text":"a"},\n{"text":"b"}\n]', "json"],
    ["bom.json", '\ufeff[{"text":"a"},{"text":"b"}]', "json"],
    ["noname", '{"text":"a"}\n{"text":"b"}', "jsonl"],
    ["a.csv", "text\na\nb\n", "csv"],
    ["A.CSV", "\ufefftext\r\na\r\nb\r\n", "csv"],
    ["a.tsv", "text\ta,b\na\t1\nb\t\n", "csv"],
    ["a.txt", "a", "text"],
  ])("%s", async (name, content, container) => {
    const found = await read(file(name, content));
    expect(found.container).toBe(container);
    expect(found.rows.map(([, value]) => (value as { text: string }).text)).toEqual(name === "a.txt" ? ["a"] : ["a", "b"]);
  });

  test("one object with other fields is one row", async () => {
    expect((await read(file("one.json", '{"text": "a", "tags": [{"x": 1}]}'))).rows).toEqual([[1, { text: "a", tags: [{ x: 1 }] }]]);
  });

  test.each(["messages", "conversations"])("one object with %s is one row, not a list of turns", async (key) => {
    const chat = { [key]: [{ role: "user", content: "a" }] };
    expect((await read(file("chat.json", JSON.stringify(chat)))).rows).toEqual([[1, chat]]);
  });

  test.each([
    ["a.jsonl.gz", Uint8Array.of(0x1f, 0x8b, 8, 0), "DATA_FORMAT_INVALID a.jsonl.gz: expected data, found a gzip file"],
    ["a.xlsx", Uint8Array.of(0x50, 0x4b, 3, 4), "DATA_FORMAT_INVALID a.xlsx: expected data, found a ZIP file"],
    ["a.bin", "hello", /a "\.bin" file that begins with "hello"/],
    ["a", "hello", /a file without an ending that begins with "hello"/],
  ])("%s is refused", async (name, content, expected) => {
    const found = await fault(file(name, content));
    if (typeof expected === "string") expect(found).toBe(expected);
    else expect(found).toMatch(expected);
  });
});

describe("a JSON list", () => {
  test("is read element by element, whatever the pieces it comes in and whatever its strings hold", async () => {
    const rows = Array.from({ length: 3000 }, (_, i) => ({
      text: `\\ "[{]},${"x".repeat(i % 700)}\u2028你`,
      deep: [[{ a: [i, null, true] }], "]"],
    }));
    for (const indent of [undefined, 1]) {
      const found = await read(file("a.json", JSON.stringify(rows, null, indent)));
      expect(found.rows.map(([, value]) => value)).toEqual(rows);
      expect(found.rows.at(-1)?.[0]).toBe(3000);
    }
  });

  test("may be empty, and hold plain values, which its form then refuses", async () => {
    expect((await read(file("a.json", " [ ] "))).rows).toEqual([]);
    expect((await read(file("a.json", "[1, null]"))).rows).toEqual([
      [1, 1],
      [2, null],
    ]);
  });

  test.each([
    ['[{"a":1}', /after element 0 of the list, found the end of the file/],
    ['[{"a":1},', /found the end of the file/],
    ['[{"a":1},]', /expected an element after element 1/],
    ['[{"a":1}] x', /expected the end of the file after element 1 of the list, found "x"/],
    ['[{"a":1}}', /expected "," or "\]"/],
    ['[{"a":},{"b":1}]', /JSON_INVALID a\.json:1: .*expected a JSON value/],
    ['"text"', /expected a list of rows, found "text"/],
    ['{"train":[{"text":"a"}],"data":[{"text":"b"}]}', /several lists of rows \(train, data\)/],
    [Uint8Array.of(0x5b, 0x22, 0xff, 0x22, 0x5d), /expected UTF-8 text, found the byte 0xFF at byte 2 \(line 1\)/],
  ])("that is broken is refused: %s", async (content, expected) => {
    expect(await fault(file("a.json", content))).toMatch(expected);
  });
});

describe("a table", () => {
  test("has quoted fields with line breaks, separators and quotes; empty fields are absent", async () => {
    const { rows } = await read(file("a.csv", 'prompt,completion,note\n"a\nb, ""c""",d,\r\ne,"f",g\n\n'));
    expect(rows).toEqual([
      [1, { prompt: 'a\nb, "c"', completion: "d" }],
      [2, { prompt: "e", completion: "f", note: "g" }],
    ]);
  });

  test("takes huge fields", async () => {
    const huge = "x".repeat(5_000_000);
    const { rows } = await read(file("a.csv", `text,n\n"${huge}",1\n`));
    expect(rows).toEqual([[1, { text: huge, n: "1" }]]);
  });

  test.each([
    ["a,b\n1,2\n3\n", /a\.csv:2: the row has another number of fields than the header/],
    ["a,b\n1,2,3\n", /a\.csv:1: the row has another number of fields than the header/],
    ['a\n"b\n', /a quoted field is not closed/],
    ['a\n"b"c\n', /text follows the closing quote/],
    ['a\nb"c"\n', /a quote stands inside a field/],
    ["a,a\n1,2\n", /two columns of the header are called "a"/],
    ['q;a\nWho?;"Me"\n', /a\.csv: the header has one column, "q;a": are the fields separated by ";"\?/],
    ["q\ta\nx\ty\n", /separated by a tab\?/],
    ["a,\n1,2\n", /column 2 of the header has no name/],
    [Uint8Array.of(0x61, 0x0a, 0xff, 0x0a), /expected UTF-8 text/],
  ])("that is broken is refused: %j", async (content, expected) => {
    expect(await fault(file("a.csv", content))).toMatch(expected);
  });
});

test("a table gives the rows before a broken one", async () => {
  const rows: number[] = [];
  const reading = (async () => {
    for await (const { row } of readRows(file("short.csv", "a,b\n1,2\n3,4\n5\n"), "file", () => undefined)) rows.push(row);
  })();
  await expect(reading).rejects.toThrow("another number of fields");
  expect(rows).toEqual([1, 2]);
});

describe("plain text", () => {
  const text = "one\ntwo\n\n \nthree\r\n\r\nfour\n";
  test("is one row a file, a paragraph or a line", async () => {
    const texts = async (unit: TextRows): Promise<unknown[]> =>
      (await read(file("a.md", text), unit)).rows.map(([, value]) => (value as { text: string }).text);
    expect(await texts("file")).toEqual([text]);
    expect(await texts("paragraph")).toEqual(["one\ntwo", "three", "four\n"]);
    expect(await texts("line")).toEqual(["one", "two", "three", "four"]);
  });

  test("is read in a moment where blanks fill it", async () => {
    const blanks = " ".repeat(2_000_000);
    const { rows } = await read(file("a.txt", `a${blanks}b\n${blanks}\nc`), "line");
    expect(rows.length).toBe(2);
  }, 5000);

  test("is read in pieces with the same rows", async () => {
    const lines = Array.from({ length: 40_000 }, (_, i) => `line ${i} ${"word ".repeat(i % 20)}ü`);
    const { rows } = await read(file("a.txt", lines.join("\r\n")), "line");
    expect(rows.map(([, value]) => (value as { text: string }).text)).toEqual(lines);
  });
});

describe("a Parquet file", () => {
  test.each(["chats-snappy", "pairs-zstd-groups", "texts-gzip"])("has the rows that its writer put in: %s", async (name) => {
    const expected: unknown = JSON.parse(readFileSync(vectors(`${name}.expected.json`), "utf8"));
    const { rows, container } = await read(vectors(`${name}.parquet`));
    expect(container).toBe("parquet");
    // Absent values are null there and undefined here.
    const withNulls: unknown = JSON.parse(
      JSON.stringify(
        rows.map(([, value]) => value),
        (_, value: unknown) => value ?? null,
      ),
    );
    expect(withNulls).toEqual(JSON.parse(JSON.stringify(expected), (_, value: unknown) => value));
    expect(rows.map(([row]) => row)).toEqual(rows.map((_, i) => i + 1));
  });

  test("with numbers or bytes that cannot be held exactly is refused", async () => {
    expect(await fault(vectors("int64-too-large.parquet"))).toMatch(/:1\.n: the number 1152921504606846976 has no exact JavaScript number/);
    expect(await fault(vectors("bytes.parquet"))).toMatch(/expected UTF-8 text, found bytes that are not/);
  });

  // Each of these made a decoder run without an end.
  test.each([
    ["a broken zstd frame", "pairs-zstd-groups", 34, 0x40, /ZSTD: expected 763 bytes, found 204 that become 0/],
    ["a schema that is not that of its columns", "chats-snappy", 1634, 0x01, /row group 1 are not those of the schema/],
  ])("with %s is refused", async (_, name, at, mask, expected) => {
    const bytes = readFileSync(vectors(`${name}.parquet`));
    bytes[at] = (bytes[at] as number) ^ mask;
    expect(await fault(file("damaged.parquet", bytes))).toMatch(expected);
  });

  test("that is cut short or is none is refused", async () => {
    const bytes = readFileSync(vectors("texts-gzip.parquet"));
    expect(await fault(file("a.parquet", bytes.subarray(0, 500)))).toMatch(/cut short: it does not end with PAR1/);
    expect(await fault(file("a.parquet", "PAR1"))).toMatch(/expected a Parquet file, found 4 bytes/);
    expect(await fault(file("a.parquet", "not a parquet file"))).toMatch(/does not end with PAR1/);
  });
});

describe("a file in another encoding", () => {
  const latin1 = (text: string): Uint8Array => Buffer.from(text, "latin1");
  test.each<[string, Uint8Array, string]>([
    ["a.csv", latin1("prompt,completion\na,b\ncaf\u00e9,c\n"), "found the byte 0xE9 at byte 25 (line 3)"],
    ["a.txt", latin1(`${"\n".repeat(1024 * 1024 + 5)}\u00fc`), "found the byte 0xFC at byte 1,048,581 (line 1,048,582)"],
    ["a.json", latin1('[{"text": "\u00fcber"}]'), "found the byte 0xFC at byte 11 (line 1)"],
    ["a.txt", Uint8Array.of(0x61, 0xe2, 0x82), "the file ends inside a character at byte 1 (line 1)"],
    [
      "a.jsonl",
      latin1('{"text": "a"}\n{"text": "\u00e9"}\n{"text": "\u00e8"}\n'),
      "found the byte 0xE9 at byte 24 (line 2); 2 rows like that",
    ],
  ])("is told by byte and line: %s", async (name, content, message) => {
    expect(await fault(file(name, content))).toBe(`DATA_FORMAT_INVALID ${name}: expected UTF-8 text, ${message}`);
  });

  test("finds a character that two chunks share where it lies", async () => {
    const content = Buffer.concat([Buffer.alloc(1024 * 1024 - 1, 0x0a), Buffer.from("é"), latin1("\u00e9")]);
    expect(await fault(file("a.txt", content))).toContain(`at byte ${(1024 * 1024 + 1).toLocaleString("en")} `);
    const cut = Buffer.concat([Buffer.alloc(1024 * 1024 - 1, 0x61), Uint8Array.of(0xc3, 0x28)]);
    expect(await fault(file("a.txt", cut))).toContain(`0xC3 at byte ${(1024 * 1024 - 1).toLocaleString("en")} `);
  });

  test("comes with the line to type", async () => {
    const path = file("it's.csv", latin1("text\n\u00e9\n"));
    await expect(read(path)).rejects.toMatchObject({ hint: expect.stringContaining("iconv -f WINDOWS-1252 -t UTF-8 '") as string });
    await expect(read(file("w.txt", Uint8Array.of(0xff, 0xfe, 0x61, 0)))).rejects.toMatchObject({
      hint: expect.stringContaining("iconv -f UTF-16") as string,
    });
  });
});
