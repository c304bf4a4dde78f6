import { expect, it } from "vitest";
import type { AdapterRecord } from "../runs/index.ts";
import { basePathOf } from "./index.ts";

const adapter = (recorded: string | null, configured: string | null) => ({
  folder: { name: "runs/a/adapter" },
  spec: { baseModel: configured },
  record: recorded === null ? null : ({ base: { path: recorded } } as Pick<AdapterRecord, "base">),
});

it("an adapter's base is the one named, else that of its record, else that of its configuration", () => {
  expect(basePathOf(adapter("recorded", "configured"), "named")).toBe("named");
  expect(basePathOf(adapter("recorded", "configured"), undefined)).toBe("recorded");
  expect(basePathOf(adapter(null, "configured"), undefined)).toBe("configured");
});

it.each([[null], [""]])("an adapter that names no base (%j) says what to do", (configured) => {
  expect(() => basePathOf(adapter(null, configured), undefined)).toThrow(
    expect.objectContaining({
      code: "FILE_MISSING",
      problems: [expect.objectContaining({ where: "runs/a/adapter", hint: "name it with --base" })],
    }),
  );
});
