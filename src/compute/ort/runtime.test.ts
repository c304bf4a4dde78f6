import * as ort from "onnxruntime-node";
import { afterEach, describe, expect, it, vi } from "vitest";
import { loadRuntime } from "./index.ts";

type Run = ort.InferenceSession["run"];

/** The real runtime, but with another `run`. */
function peerWith(change: (run: Run) => Run): () => Promise<unknown> {
  const create = async (model: Uint8Array, options: ort.InferenceSession.SessionOptions): Promise<ort.InferenceSession> => {
    const session = await ort.InferenceSession.create(model, options);
    session.run = change(session.run.bind(session));
    return session;
  };
  return () => Promise.resolve({ ...ort, default: undefined, InferenceSession: { create } });
}

/** As a later version might: other words for the refusal of sequences. */
const otherWords = peerWith(
  (run) =>
    ((...args: Parameters<Run>) =>
      run(...args).catch(() => {
        throw new TypeError("Sequences are not supported.");
      })) as Run,
);

/** A version that leaves the arrays it is given alone and returns new ones. */
const notInPlace = peerWith((run) => (inputs: ort.InferenceSession.FeedsType) => run(inputs, ["doubled", "tripled"]));

afterEach(() => vi.unstubAllEnvs());

describe("loadRuntime", () => {
  it("avoids the copies of outputs with the version that we test with", async () => {
    expect(await loadRuntime()).toMatchObject({ outputCopy: "avoided", device: "cpu" });
  });

  it("takes the ordinary way where the self-test of the other fails", async () => {
    expect((await loadRuntime({}, otherWords)).outputCopy).toBe("ordinary");
  });

  it("does not take another way than the one that was asked for", async () => {
    await expect(loadRuntime({ outputCopy: "avoided" }, otherWords)).rejects.toMatchObject({
      code: "COMPUTE_FAILED",
      hint: expect.stringContaining("HEIRLOOM_OUTPUT_COPY") as string,
    });
    expect((await loadRuntime({ outputCopy: "ordinary" })).outputCopy).toBe("ordinary");
  });

  it("refuses a runtime that does not write into the arrays that it is given", async () => {
    await expect(loadRuntime({ outputCopy: "ordinary" }, notInPlace)).rejects.toMatchObject({
      code: "COMPUTE_FAILED",
      details: { fault: "element 1: expected 2, found -1" },
    });
  });

  it("obeys HEIRLOOM_OUTPUT_COPY, and refuses values that it does not know", async () => {
    vi.stubEnv("HEIRLOOM_OUTPUT_COPY", "ordinary");
    expect((await loadRuntime()).outputCopy).toBe("ordinary");
    vi.stubEnv("HEIRLOOM_OUTPUT_COPY", "never");
    await expect(loadRuntime()).rejects.toMatchObject({
      code: "CONFIG_INVALID",
      message: expect.stringMatching(/HEIRLOOM_OUTPUT_COPY: expected auto, avoided or ordinary, found never/) as string,
    });
  });

  it("says what to type when onnxruntime-node is not installed", async () => {
    const absent = Object.assign(new Error("Cannot find package 'onnxruntime-node' imported from x.js"), { code: "ERR_MODULE_NOT_FOUND" });
    const error: unknown = await loadRuntime({}, () => Promise.reject(absent)).catch((reason: unknown) => reason);
    expect(error).toMatchObject({
      code: "PEER_MISSING",
      exitCode: 13,
      message: "this needs onnxruntime-node, which is not installed",
      hint: "npm install --ignore-scripts onnxruntime-node@^1.30",
    });
  });

  it("tells an onnxruntime-node that is broken from one that is absent", async () => {
    const broken = () => Promise.reject(new Error("libonnxruntime.so.1: cannot open shared object file"));
    await expect(loadRuntime({}, broken)).rejects.toMatchObject({
      code: "PEER_MISSING",
      message: expect.stringMatching(/installed but could not be loaded: .*libonnxruntime/) as string,
    });
  });

  it.each(["1.29.2", "2.0.0"])("refuses version %s", async (version) => {
    const old = () => Promise.resolve({ ...ort, default: undefined, env: { versions: { common: version, node: version } } });
    await expect(loadRuntime({}, old)).rejects.toMatchObject({
      code: "PEER_MISSING",
      message: `expected onnxruntime-node 1.30 or a later 1.x, found ${version}`,
    });
  });
});
