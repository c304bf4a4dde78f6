import { expect, it } from "vitest";
import { fakeTerminal } from "../fixtures/fake-terminal.ts";
import { runCli } from "../run.ts";
import { wrappedHelp } from "./index.ts";

it("keeps the width that COLUMNS asks for, and loses nothing", async () => {
  const words = (text: string): string => text.replace(/\s+/g, "");
  for (const line of [["--help"], ["data", "check", "--help"], ["train", "--help"]]) {
    const [whole, narrow] = [fakeTerminal(), fakeTerminal({ env: { COLUMNS: "70" } })];
    await runCli(line, whole);
    await runCli(line, narrow);
    expect(
      Math.max(
        ...whole
          .out()
          .split("\n")
          .map(({ length }) => length),
      ),
    ).toBeGreaterThan(70);
    expect(
      narrow
        .out()
        .split("\n")
        .filter(({ length }) => length > 70),
    ).toEqual([]);
    expect(words(narrow.out())).toEqual(words(whole.out()));
  }
});

it("puts the rest of a description below its beginning", () => {
  expect(wrappedHelp("  --rows  Rows of each file that are shown to you, from the first on", 40)).toBe(
    "  --rows  Rows of each file that are\n          shown to you, from the first\n          on",
  );
  expect(wrappedHelp("a line of any length", null)).toBe("a line of any length");
});
