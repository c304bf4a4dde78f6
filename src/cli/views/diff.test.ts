import { describe, expect, it } from "vitest";
import { fakeTerminal } from "../fixtures/fake-terminal.ts";
import { runCli } from "../run.ts";

const RUN = "vectors/hf-trainer-checkpoint";
const SIDES = ["vectors/llama-tiny/adapter-initial", "vectors/llama-tiny/adapter-final-token"];

async function run(...words: string[]) {
  const terminal = fakeTerminal({ folder: process.cwd() });
  return { code: await runCli(words, terminal), out: terminal.out(), err: terminal.err() };
}

describe("heirloom diff", () => {
  it("says first what moved, then by how much", async () => {
    const { code, out } = await run("diff", ...SIDES);
    expect(code).toBe(0);
    expect(out.split("\n")[0]).toBe("all LoRA tensors moved, lm_head moved and embed_tokens moved");
    expect(out).toMatch(/lora_B +0 +21 /);
    expect(out).not.toContain("q_proj");
    expect((await run("diff", ...SIDES, "--tensors")).out).toContain("q_proj.lora_A.weight");
  });

  it("prints one JSON document with the fields that scripts rely on", async () => {
    const { code, out } = await run("diff", ...SIDES, "--json");
    expect(code).toBe(0);
    const result = JSON.parse(out);
    expect(result).toMatchObject({ schemaVersion: 1, identical: false, same: [], onlyInA: [], onlyInB: [], shapeMismatch: [] });
    expect(result.changed).toHaveLength(44);
    expect(result.changed[0]).toMatchObject({ name: expect.any(String), maxAbs: expect.any(Number), maxRel: expect.any(Number) });
  });
});

it("inspect tells a checkpoint's progress, rates and what its optimizer held", async () => {
  const { out } = await run("inspect", `${RUN}/run/checkpoint-10`);
  expect(out).toContain("update 10 of 20 (50 %), epoch 1.73 of 4");
  expect(out).toContain("60,800 (recovered from the optimizer's state)");
  expect(out).toMatch(/decay +1e-3 +44 +60,800/);
});

it("inspect says nothing of what it does not know: sizes without weights, groups without tensors", async () => {
  const state = (await run("inspect", `${RUN}/run/checkpoint-10/trainer_state.json`)).out;
  expect(state).not.toMatch(/^(?:size|parameters) /m);
  const optimizer = (await run("inspect", `${RUN}/run/checkpoint-10/optimizer.pt`)).out;
  expect(optimizer).toContain("state of 44 tensors");
  expect(optimizer).toMatch(/1e-3 +\? +\?$/m);
});

it("inspect has one row for each thing, and a banner line only for adapters", async () => {
  const adapter = (await run("inspect", "vectors/llama-tiny/adapter-initial")).out;
  expect(adapter.match(/^adapter /gm)).toHaveLength(1);
  expect(adapter).toMatch(/^method +lora, rank/m);
  expect((await run("inspect", "vectors/llama-tiny/base")).out).not.toContain("banner");
});
