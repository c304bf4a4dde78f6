import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { threadId } from "node:worker_threads";
import { describe, expect, it } from "vitest";
import { HeirloomError, InternalError } from "../errors.ts";
import { type Event, job, type Request } from "./fixtures/test-job.ts";
import { type RunJobOptions, runJob } from "./job.ts";

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
    expect(error).toBeInstanceOf(HeirloomError);
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
    expect((error as Error).stack).toContain("test-job.ts");
  });

  it("fails with an InternalError that names the place when an invariant broke", async () => {
    const error = await failureOf({ act: "internal-error" }, { inline });
    expect(error).toBeInstanceOf(InternalError);
    expect(error).toMatchObject({ name: "InternalError", code: "INTERNAL", message: "step 3: internal error: an invariant broke" });
  });

  it("turns any other error into an InternalError with the stack in its details", async () => {
    const error = await failureOf({ act: "bug" }, { inline });
    expect(error).toBeInstanceOf(InternalError);
    expect((error as InternalError).details["stack"]).toMatch(/TypeError: .*length.*test-job\.ts/s);
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
    const lost = { ...job, module: new URL("./nowhere.ts", import.meta.url).href };
    await expect(runJob(lost, { act: "sum" }, { inline: false })).rejects.toMatchObject({ code: "INTERNAL" });
  });

  it("names lack of memory as such, with what to type", () => {
    const program = fileURLToPath(new URL("./fixtures/run-out-of-memory.ts", import.meta.url));
    // So small a heap is full within a second.
    const { stdout } = spawnSync(process.execPath, [...process.execArgv, "--max-old-space-size=64", program], { encoding: "utf8" });
    expect(stdout).toMatch(/^COMPUTE_FAILED .*--max-old-space-size/);
  });

  it("ends although the job left a timer running", async () => {
    expect(await runJob(job, { act: "open-handle" }, { inline: false })).toBe("done");
  });
});
