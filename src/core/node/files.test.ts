import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { HeirloomError, readText } from "../index.ts";
import { openFile, openFolder, sha256, writeError, writeFileAtomic, writeTextAtomic } from "./index.ts";

const folder = mkdtempSync(join(tmpdir(), "heirloom-files-"));
afterAll(() => rmSync(folder, { recursive: true }));
const at = (...parts: string[]): string => join(folder, ...parts);
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

describe("an atomic write", () => {
  test("makes the file and its folders, replaces what was there, and leaves nothing beside it", async () => {
    await writeFileAtomic(at("new", "deep", "a.txt"), [bytes("one"), new Uint8Array(0), bytes(" two")]);
    await writeTextAtomic(at("new", "deep", "a.txt"), "three");
    expect(readFileSync(at("new", "deep", "a.txt"), "utf8")).toBe("three");
    expect(readdirSync(at("new", "deep"))).toEqual(["a.txt"]);
  });

  test.each([
    ["ENOSPC", "DISK_FULL"],
    ["EDQUOT", "DISK_FULL"],
    ["EIO", "WRITE_FAILED"],
  ] as const)("that ends in %s is %s; the old file stands and nothing half-written is left", async (code, expected) => {
    mkdirSync(at(code));
    writeFileSync(at(code, "kept.bin"), "old");
    function* failing(): Iterable<Uint8Array> {
      yield bytes("half");
      throw Object.assign(new Error(code), { code });
    }
    await expect(writeFileAtomic(at(code, "kept.bin"), failing())).rejects.toMatchObject({ code: expected, exitCode: 40 });
    expect(readFileSync(at(code, "kept.bin"), "utf8")).toBe("old");
    expect(readdirSync(at(code))).toEqual(["kept.bin"]);
  });

  test("passes on a typed error of what makes the chunks", async () => {
    async function* failing(): AsyncIterable<Uint8Array> {
      yield await Promise.resolve(bytes("half"));
      throw new HeirloomError("TENSOR_NOT_FINITE", "a weight is NaN");
    }
    await expect(writeFileAtomic(at("typed.bin"), failing())).rejects.toMatchObject({ code: "TENSOR_NOT_FINITE" });
    expect(readdirSync(folder)).not.toContain("typed.bin");
  });

  test("into a path that is a folder, or lies inside a file, is WRITE_FAILED", async () => {
    mkdirSync(at("taken", "inner"), { recursive: true });
    await expect(writeTextAtomic(at("taken"), "x")).rejects.toMatchObject({ code: "WRITE_FAILED" });
    writeFileSync(at("plain"), "x");
    await expect(writeTextAtomic(at("plain", "inside"), "x")).rejects.toMatchObject({ code: "WRITE_FAILED" });
    expect(readdirSync(folder).filter((name) => name.endsWith(".tmp"))).toEqual([]);
  });

  test("names the path and what to do", () => {
    expect(writeError(Object.assign(new Error("x"), { code: "ENOSPC" }), "/a/b").problems[0]).toMatchObject({
      where: "/a/b",
      hint: expect.stringContaining("free some space"),
    });
  });
});

describe("an opened file", () => {
  test("is read by ranges, and refuses bytes that it does not have", async () => {
    writeFileSync(at("range.bin"), "0123456789");
    const file = await openFile(at("range.bin"));
    expect(Buffer.from(await file.read(2, 5)).toString()).toBe("234");
    expect((await file.read(10, 10)).byteLength).toBe(0);
    for (const [start, end] of [
      [0, 11],
      [-1, 2],
      [5, 4],
    ] as const)
      await expect(file.read(start, end)).rejects.toMatchObject({ code: "FILE_UNREADABLE" });
    const target = new Uint8Array(4);
    await file.readInto(target, 6);
    expect(Buffer.from(target).toString()).toBe("6789");
    await file.close();
  });

  test("that shrinks while it is read is told, not read as zeros", async () => {
    writeFileSync(at("shrinks.bin"), "0123456789");
    const file = await openFile(at("shrinks.bin"));
    writeFileSync(at("shrinks.bin"), "01");
    await expect(file.read(0, 10)).rejects.toMatchObject({ code: "FILE_UNREADABLE", message: expect.stringContaining("ended at byte 2") });
    await file.close();
  });

  test("must be there and be a file: a folder, a device and a FIFO are refused without waiting", async () => {
    execFileSync("sh", ["-c", 'mkfifo "$0"', at("fifo")]);
    await expect(openFile(at("absent"))).rejects.toMatchObject({ code: "FILE_MISSING", exitCode: 11 });
    for (const path of [folder, "/dev/zero", at("fifo")]) await expect(openFile(path)).rejects.toMatchObject({ code: "FILE_UNREADABLE" });
  });
});

describe("an opened folder", () => {
  const inside = (): string => {
    mkdirSync(at("model"), { recursive: true });
    writeFileSync(at("model", "b.json"), "b");
    writeFileSync(at("model", "a.json"), "a");
    writeFileSync(at("secret.txt"), "secret");
    return at("model");
  };

  test("lists its files sorted and opens them", async () => {
    const opened = await openFolder(inside());
    expect(await opened.list()).toEqual(["a.json", "b.json"]);
    expect(await readText(await opened.open("a.json"))).toBe("a");
    await expect(opened.open("c.json")).rejects.toMatchObject({ code: "FILE_MISSING" });
    await opened.close();
  });

  test("lets no name and no link lead out of it, unless links are expected", async () => {
    const path = inside();
    symlinkSync(at("secret.txt"), join(path, "link.txt"));
    const opened = await openFolder(path);
    for (const name of ["../secret.txt", "..", "a/../../secret.txt", "..\\secret.txt", "a.json\0.txt", "link.txt"])
      await expect(opened.open(name)).rejects.toMatchObject({ code: "FILE_UNREADABLE" });
    const trusted = await openFolder(path, { followLinks: true });
    expect(await readText(await trusted.open("link.txt"))).toBe("secret");
    await expect(trusted.open("../secret.txt")).rejects.toMatchObject({ code: "FILE_UNREADABLE" });
    await Promise.all([opened.close(), trusted.close()]);
  });

  test("must be there", async () => {
    await expect(openFolder(at("absent"))).rejects.toMatchObject({ code: "FILE_MISSING" });
  });
});

test("a hash is SHA-256 in hex, of bytes and of UTF-8 text alike", () => {
  // FIPS 180-2, appendix B.1
  expect(sha256("abc")).toBe("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  expect(sha256(bytes("¾"))).toBe(sha256("¾"));
});
