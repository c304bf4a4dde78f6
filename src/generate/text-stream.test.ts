import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { RandomStream } from "../core/index.ts";
import { loadTokenizer, type Tokenizer } from "../data/index.ts";
import { writeTinyModel } from "../engine/fixtures/tiny-model.ts";
import { TextStream } from "./text-stream.ts";

let folder: string;
let tokenizer: Tokenizer;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "heirloom-text-"));
  tokenizer = await loadTokenizer(await writeTinyModel(folder));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Each byte is a token of this tokenizer. */
const bytes = (text: string): number[] => Array.from(new TextEncoder().encode(text), (byte) => byte + 3);

function streamed(ids: readonly number[], stops: readonly string[] = []): { parts: string[]; stopped: boolean; read: number } {
  const stream = new TextStream(tokenizer, stops);
  const parts: string[] = [];
  let read = 0;
  for (const id of ids) {
    parts.push(stream.push(id));
    read++;
    if (stream.stopped) break;
  }
  parts.push(stream.end());
  return { parts, stopped: stream.stopped, read };
}

describe("text as it comes", () => {
  test("never holds half a character, and is the whole text in the end", () => {
    const text = "naïve 中文 👩‍👩‍👧 \u{1d11e} é́ — end";
    const { parts } = streamed(bytes(text));
    expect(parts.join("")).toBe(text);
    for (const part of parts) {
      expect(() => encodeURIComponent(part)).not.toThrow(); // as it would at half a surrogate pair
      expect(part).not.toContain("\ufffd");
    }
  });

  test("shows bytes that are no text once nothing can make text of them", () => {
    for (const ids of [
      [0xe4, 0xb8],
      [0xff, 0x41, 0xff],
      [0xe4, 0xb8, 0x41],
      [0x80, 0x80, 0x80, 0x80, 0xe4, 0xb8, 0xad],
      [0xf0, 0x9f, 0x98],
    ]) {
      const tokens = ids.map((byte) => byte + 3);
      expect(streamed(tokens).parts.join("")).toBe(tokenizer.decode(tokens));
    }
  });

  test("of random bytes is the text of all of them", () => {
    const random = new RandomStream(9, "bytes");
    for (let i = 0; i < 100; i++) {
      const ids = Array.from({ length: random.nextInt(24) }, () => 3 + random.nextInt(256));
      expect(streamed(ids).parts.join("")).toBe(tokenizer.decode(ids));
    }
  });
});

/** The tokenizer, with a count of the tokens that it has decoded. */
function counting(): { tokenizer: Tokenizer; decoded(): number } {
  let decoded = 0;
  const counted: Tokenizer = Object.create(tokenizer, {
    decode: {
      value: (ids: readonly number[]) => {
        decoded += ids.length;
        return tokenizer.decode(ids);
      },
    },
  });
  return { tokenizer: counted, decoded: () => decoded };
}

describe("text that is no UTF-8", () => {
  const kinds: readonly (readonly [string, (at: number, random: RandomStream) => number])[] = [
    ["bytes that continue nothing", () => 0x80],
    ["first bytes of characters", () => 0xe4],
    ["random bytes beyond ASCII", (_, random) => 0x80 + random.nextInt(128)],
    ["whole characters after a bad byte", (at) => (at === 0 ? 0xff : (Array.from(new TextEncoder().encode("\u4e2d"))[at % 3] as number))],
  ];

  test.each(kinds)("costs the same for each token, however long it goes on, and nothing is lost: %s", (_title, byte) => {
    const random = new RandomStream(3, "no text");
    const ids = Array.from({ length: 1000 }, (__, at) => 3 + byte(at, random));
    const all = [...ids, ...bytes("so 中 on")];
    const counted = counting();
    const stream = new TextStream(counted.tokenizer, []);
    let text = "";
    for (const id of all) text += stream.push(id);
    expect(text + stream.end()).toBe(tokenizer.decode(all));
    // Some twenty a token, twice where the window moves.
    expect(counted.decoded()).toBeLessThan(64 * all.length);
  });

  test("of a tokenizer that judges a run of bytes as a whole, and never gives a character out twice", () => {
    // As the decoder `ByteFallback` does: a run that is no UTF-8 as a whole is one U+FFFD for each byte.
    const decode = (ids: readonly number[]): string => {
      const run = Uint8Array.from(ids, (id) => id - 3);
      const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(run);
      return text.includes("\ufffd") ? "\ufffd".repeat(ids.length) : text;
    };
    const fallback: Tokenizer = Object.create(tokenizer, { decode: { value: decode } });
    const ids = [...bytes("中"), 3 + 0xff, ...bytes("中国".repeat(40))];
    const stream = new TextStream(fallback, []);
    let text = "";
    for (const id of ids) text += stream.push(id);
    text += stream.end();
    // What had gone out when the run was still UTF-8 stays, and takes the place of its first character.
    expect(text).toBe(`中${"\ufffd".repeat(ids.length - 1)}`);
  });
});

describe("a stop text", () => {
  test.each([
    ["one two three", ["two"], "one "],
    ["one two three", ["xyz", "three", "wo"], "one t"],
    ["aaab", ["aab"], "a"],
    ["one\n\nUser: two", ["\nUser:"], "one\n"],
    ["日本語です", ["語"], "日本"],
    ["two", ["two"], ""],
  ])("ends %j at %j", (text, stops, expected) => {
    const { parts, stopped } = streamed(bytes(text), stops);
    expect(stopped).toBe(true);
    expect(parts.join("")).toBe(expected);
  });

  test("is held back while it may still come, and given out when it cannot", () => {
    const { parts, stopped } = streamed(bytes("one twi two"), ["twin"]);
    expect(parts.slice(4, 8)).toEqual(["", "", "", "twi "]);
    expect(stopped).toBe(false);
    expect(streamed(bytes("one tw"), ["two"]).parts.join("")).toBe("one tw");
  });

  test("that is empty ends nothing", () => {
    expect(streamed(bytes("ab"), [""])).toMatchObject({ stopped: false, read: 2 });
  });
});
