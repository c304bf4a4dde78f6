import { expect, it } from "vitest";
import { HeirloomError, type Problem } from "../../core/index.ts";
import { paint, renderError } from "./index.ts";

it("tells equal problems of many places once, with their number and the first places", () => {
  const same = (row: number): Problem => ({
    code: "DATA_FORMAT_INVALID",
    message: "no place for tools",
    where: `a.json:${row}`,
    hint: "try this",
  });
  const other: Problem = { code: "DATA_FORMAT_INVALID", message: "expected text", where: "a.json:9" };
  const error = HeirloomError.of([same(1), other, ...[2, 3, 4, 5, 6, 7].map(same)]);
  expect(renderError(error, paint(false))).toBe(
    "error no place for tools (7 times)\n      at a.json:1, a.json:2, a.json:3, a.json:4, a.json:5 and 2 more\n      → try this\nerror a.json:9: expected text\nDATA_FORMAT_INVALID, exit 11\n",
  );
});
