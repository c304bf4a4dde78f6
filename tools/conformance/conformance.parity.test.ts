import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { holds, runCheck, type VectorSet } from "./check.ts";
import { findSets } from "./sets/index.ts";

const VECTORS = join(import.meta.dirname, "../../vectors");
const sets = await findSets(VECTORS);
const scratch = mkdtempSync(join(tmpdir(), "heirloom-conformance-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** Checks of the sets that lie here with their tensors. */
const checks = (names: readonly string[]) =>
  sets.filter(({ name }) => names.includes(name)).flatMap(({ name, checks }) => checks.map((check) => ({ set: name, check })));

describe("agrees with PyTorch, PEFT and bitsandbytes within the README's tolerances", () => {
  const merges = checks(["peft-banners"]).filter(({ check }) => check.kind === "merge");
  const supported = [...checks(["nf4", "llama-tiny", "llama-tiny-qlora", "arch-variants"]), ...merges];

  it.each(supported.map(({ set, check }) => [`${set}/${check.case}: ${check.kind}`, set, check] as const))("%s", async (_, set, check) => {
    const { status, reason, measures } = await runCheck(set, check);
    expect({ status, reason, beyond: measures.filter((measure) => !holds(measure)) }).toEqual({ status: "pass", reason: null, beyond: [] });
  });

  it("covers forward passes, gradients, both runs, a 4-bit base and tied embeddings", () => {
    const names = supported.map(({ set, check }) => `${set}/${check.case}:${check.kind}`);
    expect(names).toEqual(
      expect.arrayContaining([
        "llama-tiny/base:logits",
        "llama-tiny/adapter:gradients",
        "llama-tiny/run-token:training",
        "llama-tiny/run-micro:training",
        "llama-tiny-qlora/base:values",
        "llama-tiny-qlora/run-token:training",
        "arch-variants/qwen3:gradients",
        "arch-variants/llama-tied-save-lmhead-ensured:training",
        "arch-variants/llama-tied-save-both:merge",
        "peft-banners/dora:merge",
        "peft-banners/tied_lora_embedding:merge",
      ]),
    );
  });
});

describe("a difference from the vectors", () => {
  /** Runs the checks of one case whose file has been changed by `change`. */
  async function statusesAfter(file: string, change: (bytes: Uint8Array) => void): Promise<Record<string, string>> {
    const folder = mkdtempSync(join(scratch, "changed-"));
    cpSync(join(VECTORS, "arch-variants/llama-tied-save-both"), join(folder, "arch-variants/case"), { recursive: true });
    const path = join(folder, "arch-variants/case", file);
    const bytes = readFileSync(path);
    change(bytes);
    writeFileSync(path, bytes);
    const [set] = (await findSets(folder)) as [VectorSet];
    const results = [];
    for (const check of set.checks) results.push(await runCheck(set.name, check));
    return Object.fromEntries(results.map(({ check, status }) => [check, status]));
  }

  it("fails logits, gradients and training where one weight of the adapter differs", async () => {
    // The last float of the file: an element of a LoRA matrix.
    const statuses = await statusesAfter("adapter/adapter_model.safetensors", (bytes) => {
      new DataView(bytes.buffer, bytes.byteOffset).setFloat32(bytes.length - 4, 0.5, true);
    });
    expect(statuses).toMatchObject({ ledger: "pass", logits: "fail", gradients: "fail", training: "fail" });
  });

  it("fails the ledger where a trainable name is not the recorded one", async () => {
    const statuses = await statusesAfter("scalars.json", (bytes) => {
      const text = Buffer.from(bytes).toString("utf8").replace("q_proj.lora_A.default", "k_proj.lora_A.default");
      bytes.set(Buffer.from(text, "utf8"));
    });
    expect(statuses).toMatchObject({ ledger: "fail", logits: "pass", gradients: "pass" });
  });

  it("fails a run whose recorded loss is another one, and NaN is not within any tolerance", async () => {
    const statuses = await statusesAfter("peft_behaviour.json", (bytes) => {
      const text = Buffer.from(bytes)
        .toString("utf8")
        .replace(/("train_losses": \[\s*)5/, "$16");
      bytes.set(Buffer.from(text, "utf8"));
    });
    expect(statuses).toMatchObject({ logits: "pass", training: "fail" });
    expect(holds({ what: "x", error: Number.NaN, tolerance: 1 })).toBe(false);
  });
});
