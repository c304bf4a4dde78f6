import { readFileSync } from "node:fs";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { adapterSpec, adapterTensors, peftFromAdapter, resolveTargets } from "../adapter/index.ts";
import { fakeTerminal } from "../cli/fixtures/fake-terminal.ts";
import { runCli } from "../cli/run.ts";
import { sparseSafetensors } from "../formats/fixtures/bytes.ts";
import { serializePeftConfig } from "../formats/index.ts";
import { parseModelConfig } from "../model/index.ts";
import { answers, HubServer, hubFile } from "./fixtures/hub-server.ts";

const TOKEN = "hf_sentinelSENTINEL";
const BASE = readFileSync("vectors/configs/llama-3.1-8b.json", "utf8");
const ADAPTER = adapterSpec({
  rank: 32,
  alpha: 64,
  targetModules: ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
  modulesToSave: ["embed_tokens", "lm_head"],
  baseModel: "o/base",
});
const CONFIG = serializePeftConfig(peftFromAdapter(ADAPTER));
const LARGE = sparseSafetensors(
  adapterTensors(resolveTargets(parseModelConfig(JSON.parse(BASE), "base"), ADAPTER)).map(({ name, shape, role }) => ({
    name,
    shape,
    dtype: role === "full_copy" ? "BF16" : "F32",
  })),
);
/** A folder of the vectors, as the files of a checkpoint. */
const RUN = "vectors/hf-trainer-checkpoint/run/checkpoint-10";
const stored = (file: string) => hubFile(readFileSync(`${RUN}/${file}`), { isStored: true });

let server: HubServer;
const texts: string[] = [];

/** Runs a command line; whatever it prints is searched for the token afterwards. */
async function heirloom(...inputs: string[]): Promise<{ code: number; out: string; err: string }> {
  const terminal = fakeTerminal({ env: { HEIRLOOM_DEBUG: "1" }, folder: process.cwd() });
  const code = await runCli(inputs, terminal);
  texts.push(terminal.out(), terminal.err());
  return { code, out: terminal.out(), err: terminal.err() };
}

beforeAll(async () => {
  server = await HubServer.open({
    "adapter_config.json": hubFile(CONFIG),
    "adapter_model.safetensors": hubFile(LARGE.head, { size: LARGE.size, isStored: true }),
    "config.json": hubFile(BASE),
    "checkpoint-10/adapter_config.json": stored("adapter_config.json"),
    "checkpoint-10/adapter_model.safetensors": stored("adapter_model.safetensors"),
    "checkpoint-10/optimizer.pt": stored("optimizer.pt"),
    "checkpoint-10/scheduler.pt": stored("scheduler.pt"),
    "checkpoint-10/rng_state.pth": stored("rng_state.pth"),
    "checkpoint-10/trainer_state.json": stored("trainer_state.json"),
  });
});
afterAll(() => server.close());
beforeEach(() => {
  vi.stubEnv("HF_ENDPOINT", server.endpoint);
  vi.stubEnv("HF_TOKEN", TOKEN);
  server.seen.length = 0;
  server.bytesSent = 0;
});
afterEach(() => {
  server.fault = () => undefined;
  vi.unstubAllEnvs();
  for (const text of texts.splice(0)) expect(text).not.toContain("SENTINEL");
});

describe("commands on hf:// addresses", () => {
  it("inspect counts an adapter of 2.4 GB from less than 1 MB", async () => {
    const { code, out } = await heirloom("inspect", "hf://o/n", "--base", "hf://o/n/config.json");
    expect(code).toBe(0);
    expect(out).toContain("trainable params: 1,134,559,232 || all params: 9,164,820,480 || trainable%: 12.3795");
    expect(LARGE.size).toBeGreaterThan(2.4e9);
    expect(server.bytesSent).toBeLessThan(1_000_000);
  });

  it("inspect and verify read a checkpoint of a revision, its optimizer too", async () => {
    const inspected = await heirloom("inspect", "hf://o/n@rev/checkpoint-10", "--json");
    expect(JSON.parse(inspected.out)).toMatchObject({ kind: "checkpoint", path: "hf://o/n@rev/checkpoint-10", checkpoint: { step: 10 } });
    const verified = await heirloom("verify", "hf://o/n@rev/checkpoint-10", "--json");
    const local = await heirloom("verify", RUN, "--json");
    expect(verified.out).toBe(local.out);
  });

  it("diff compares a folder there with one here", async () => {
    const { code, out } = await heirloom("diff", "hf://o/n/checkpoint-10", RUN, "--json");
    expect({ code, result: JSON.parse(out) as unknown }).toMatchObject({ code: 0, result: { identical: true } });
  });

  it("explain takes base and adapter from there", async () => {
    const { code, out } = await heirloom(
      "explain",
      "trainable params: 1,134,559,232 || all params: 9,164,820,480",
      "--base",
      "hf://o/n",
      "--adapter",
      "hf://o/n",
    );
    expect({ code, out }).toEqual({ code: 0, out: expect.stringContaining("rank 32") as unknown });
  });

  it("what computes asks for a download, and says how", async () => {
    const { code, err } = await heirloom("generate", "hf://o/n@v1", "--prompt", "x");
    expect({ code, err }).toEqual({ code: 11, err: expect.stringContaining("hf download o/n --revision v1") as unknown });
  });

  it.each([
    ["text", []],
    ["JSON", ["--json"]],
  ])("a refusal as %s says neither token nor control characters of the server", async (_, flags) => {
    server.fault = () => answers.json([{ type: "file", path: `adapter_cnfig\u001b]0;x\u0007.json`, size: 9 }]);
    const { code, out, err } = await heirloom("inspect", "hf://o/n", ...flags);
    expect(code).toBe(11);
    expect(out + err).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
    server.fault = () => answers.status(403);
    expect((await heirloom("inspect", "hf://o/n", ...flags)).code).toBe(14);
  });
});
