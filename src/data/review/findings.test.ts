import { expect, test } from "vitest";
import { FindingList } from "./findings.ts";

const finding = (row: number, message: string) => ({ rule: "unreadable-row", severity: "error", file: "a.jsonl", row, message }) as const;

test("equal findings are one, with all of them counted and the first places", () => {
  const list = new FindingList();
  for (let row = 1; row <= 191; row++) list.add(finding(row, "no place for tools"));
  list.add(finding(200, "expected text"));
  expect(list.counts).toEqual([{ rule: "unreadable-row", severity: "error", count: 192 }]);
  expect(list.listed.map(({ message, count, row, places }) => [message, count, row, places.length, places[1]])).toEqual([
    ["no place for tools", 191, 1, 20, "a.jsonl:2"],
    ["expected text", 1, 200, 1, undefined],
  ]);
});

test("what is not listed is still counted", () => {
  const list = new FindingList();
  for (let row = 1; row <= 30; row++) list.add(finding(row, `fault ${row}`));
  list.add(finding(31, "fault 1"));
  expect(list.listed).toHaveLength(20);
  expect(list.listed[0]).toMatchObject({ count: 2, places: ["a.jsonl:1", "a.jsonl:31"] });
  expect(list.counts[0]?.count).toBe(31);
});
