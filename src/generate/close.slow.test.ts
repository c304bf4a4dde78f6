import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { TinyWorkshop } from "../train/fixtures/tiny-run.ts";
import { openGenerationEngine } from "./index.ts";

/** Within the limits of a template, and minutes of work: each of the long texts is one step. */
const ENDLESS = "{% set all = range(99999) %}{% for a in range(20000) %}{% set text = all|join(',') %}{% endfor %}";

test("closing ends by a deadline, even while a chat template keeps the engine's thread busy", { timeout: 30_000 }, async () => {
  const workshop = await TinyWorkshop.open();
  const folder = mkdtempSync(join(tmpdir(), "heirloom-close-"));
  try {
    cpSync(workshop.base, folder, { recursive: true });
    writeFileSync(join(folder, "chat_template.jinja"), ENDLESS);
    const engine = await openGenerationEngine({ sources: [{ path: folder, id: "m" }] });
    const prompt = { messages: [{ role: "user", content: "amber" }] };
    const events = engine.complete({ model: "m", prompt, maxTokens: 2, stop: [], sampling: { temperature: 0 } });
    const answer = events[Symbol.asyncIterator]().next();
    answer.catch(() => undefined);
    await new Promise((resolve) => setTimeout(resolve, 500));
    const [first, second] = [engine.close(), engine.close()];
    await Promise.all([first, second]);
    await expect(answer).rejects.toMatchObject({ code: "INTERRUPTED" });
  } finally {
    rmSync(folder, { recursive: true });
    workshop.close();
  }
});
