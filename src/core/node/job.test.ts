import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import ts from "typescript";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { HeirloomError, InternalError } from "../errors.ts";
import { defineJob, type Job, type RunJobOptions, runJob } from "./job.ts";

type Request = { readonly act: string; readonly terms?: readonly number[] };
type Event = Readonly<Record<string, unknown>>;

const here = import.meta.dirname;
const compiled: readonly string[] = ["errors.ts", "error-codes.ts", "node/job.ts"];
let folder: string;
/** The fixture's job, for true workers and inline alike. */
let job: Job<Request, Event, unknown>;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "heirloom-job-"));
  mkdirSync(join(folder, "node"));
  writeFileSync(join(folder, "package.json"), '{"type":"module"}');
  for (const file of compiled) {
    const source = readFileSync(join(here, "..", file), "utf8");
    const { outputText } = ts.transpileModule(source, { compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2023, rewriteRelativeImportExtensions: true } });
    writeFileSync(join(folder, file.replace(/\.ts$/, ".js")), outputText);
  }
  const entry = join(folder, "node", "test-job.mjs");
  copyFileSync(join(here, "fixtures", "test-job.mjs"), entry);
  job = ((await import(pathToFileURL(entry).href)) as { job: typeof job }).job;
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function failureOf(request: Request, options: RunJobOptions<Event> = {}): Promise<unknown> {
  return runJob(job, request, options).then(
    () => expect.unreachable("the job should fail"),
    (error: unknown) => error,
  );
}

describe.each([
  { place: "in a worker", inline: false },
  { place: "inline", inline: true },
])("a job $place", ({ inline }) => {
  it("gets the request, streams its events in order and returns its result", async () => {
    const events: Event[] = [];
    const result = await runJob(job, { act: "sum", terms: [1, 2, 39] }, { inline, onEvent: (event) => events.push(event) });
    expect(result).toMatchObject({ sum: 42 });
    expect(events).toEqual([{ term: 1 }, { term: 2 }, { term: 39 }]);
  });

  it("stops by itself after an abort and still returns its result", async () => {
    const controller = new AbortController();
    const onEvent = (event: Event): void => {
      if (event["slice"] === 3) controller.abort();
    };
    const result = (await runJob(job, { act: "until-stopped" }, { inline, onEvent, signal: controller.signal })) as { slices: number };
    expect(result.slices).toBeGreaterThanOrEqual(3);
  });

  it("sees at once a signal that was aborted before the start", async () => {
    expect(await runJob(job, { act: "until-stopped" }, { inline, signal: AbortSignal.abort() })).toEqual({ slices: 0 });
  });

  it("fails with the HeirloomError that it threw, all problems included", async () => {
    const error = await failureOf({ act: "user-error" }, { inline });
    if (!inline) expect(error).toBeInstanceOf(HeirloomError);
    expect(error).toMatchObject({
      name: "HeirloomError",
      code: "TENSOR_MISSING",
      exitCode: 11,
      message: "model.safetensors: no such tensor\nanother shape",
      problems: [
        { code: "TENSOR_MISSING", where: "model.safetensors", hint: "look", details: { tensor: "w" } },
        { code: "TENSOR_SHAPE", message: "another shape" },
      ],
    });
    expect((error as Error).stack).toContain("test-job.mjs");
  });

  it("fails with an InternalError that names the place when an invariant broke", async () => {
    const error = await failureOf({ act: "internal-error" }, { inline });
    if (!inline) expect(error).toBeInstanceOf(InternalError);
    expect(error).toMatchObject({ name: "InternalError", code: "INTERNAL", message: "step 3: internal error: an invariant broke" });
  });

  it("turns any other error into an InternalError with the stack in its details", async () => {
    const error = await failureOf({ act: "bug" }, { inline });
    expect(error).toBeInstanceOf(InternalError);
    expect((error as InternalError).details["stack"]).toMatch(/TypeError: .*length[^]*test-job\.mjs/);
  });

  it("refuses an event that cannot be cloned", async () => {
    const error = await failureOf({ act: "uncloneable" }, { inline });
    expect(error).toBeInstanceOf(InternalError);
    expect((error as Error).message).toMatch(/could not be cloned/);
  });

  it("stops and fails with the listener's error when a listener throws", async () => {
    const onEvent = (): void => {
      throw new RangeError("the listener's own");
    };
    await expect(runJob(job, { act: "until-stopped" }, { inline, onEvent })).rejects.toThrow(new RangeError("the listener's own"));
  });
});

describe("a worker's job", () => {
  it("runs on another thread", async () => {
    const { threadId } = await import("node:worker_threads");
    const result = (await runJob(job, { act: "sum", terms: [] }, { inline: false })) as { thread: number };
    expect(result.thread).not.toBe(threadId);
  });

  it("sees the stop even if it never returns to its event loop", async () => {
    const controller = new AbortController();
    const onEvent = (): void => controller.abort();
    expect(await runJob(job, { act: "busy-until-stopped" }, { inline: false, onEvent, signal: controller.signal })).toBe("saw it");
  });

  it("is an InternalError when its thread exits without a result", async () => {
    const error = await failureOf({ act: "exit" }, { inline: false });
    expect(error).toBeInstanceOf(InternalError);
    expect((error as Error).message).toMatch(/exit code 5 before its job did/);
  });

  it("is an InternalError when something throws outside of the job's promise", async () => {
    const error = await failureOf({ act: "stray" }, { inline: false });
    expect(error).toBeInstanceOf(InternalError);
    expect((error as Error).message).toMatch(/thrown outside of the job's promise/);
  });

  it("is an InternalError when its module does not exist", async () => {
    const lost = { ...job, module: new URL("nowhere.mjs", pathToFileURL(folder)).href };
    await expect(runJob(lost, { act: "sum" }, { inline: false })).rejects.toMatchObject({ code: "INTERNAL" });
  });

  it("names lack of memory as such, with what to type", () => {
    const script = join(folder, "node", "run-out.mjs");
    writeFileSync(script, 'import { runJob } from "./job.js"; import { job } from "./test-job.mjs"; await runJob(job, { act: "memory" }).catch((e) => console.log(e.code, e.hint));');
    // A small heap, so that it is full within a second.
    const { stdout } = spawnSync(process.execPath, ["--max-old-space-size=32", script], { encoding: "utf8" });
    expect(stdout).toMatch(/^COMPUTE_FAILED .*--max-old-space-size/);
  });

  it("ends although the job left a timer running", async () => {
    expect(await runJob(job, { act: "open-handle" }, { inline: false })).toBe("done");
  });
});

describe("a job of TypeScript sources", () => {
  it("runs without being told where, also on a Node that cannot load it in a worker", async () => {
    const own = defineJob<number, never, number>(import.meta.url, (request) => Promise.resolve(request + 1));
    const inline = !(process.features as { typescript?: unknown }).typescript;
    if (inline) expect(await runJob(own, 41)).toBe(42);
    else expect(own.module).toBe(import.meta.url);
  });
});
