import { mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Ledger } from "../ledger/index.ts";
import type { ModelSpec } from "../model/index.ts";
import { failure } from "./fixtures/tiny-run.ts";
import { assertSavedLedger } from "./saved-adapter.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "heirloom-saved-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Files in a folder that this process holds open. */
function heldOpen(inside: string): string[] {
  return readdirSync("/proc/self/fd").flatMap((fd) => {
    try {
      const path = readlinkSync(`/proc/self/fd/${fd}`);
      return path.startsWith(inside) ? [path] : [];
    } catch {
      return []; // closed since it was listed
    }
  });
}

test.runIf(process.platform === "linux")("an adapter that lacks one of its files is told, and the other is not left open", async () => {
  writeFileSync(join(folder, "adapter_config.json"), "{}");
  const checked = assertSavedLedger(folder, { entries: [] } as unknown as Ledger, {} as ModelSpec);
  expect(await failure(checked)).toMatchObject({ code: "FILE_MISSING" });
  expect(heldOpen(folder)).toEqual([]);
});
