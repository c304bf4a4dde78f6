import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { HEADER_CASES } from "../fixtures/header-cases.ts";
import type { RuleCase, Scene } from "../fixtures/rule-case.ts";
import { adapterFiles, BASE_CONFIG, baseFiles, baseTensors, Q_PAIR } from "../fixtures/tiny.ts";
import { VALUE_CASES } from "../fixtures/value-cases.ts";
import { writeFolder } from "../fixtures/write-files.ts";
import { type VerifyResult, verifyPath } from "./index.ts";
import { RULES, type RuleId } from "./rules/index.ts";

// The type is total: a rule without fixtures does not compile.
const CASES: Record<RuleId, RuleCase> = { ...HEADER_CASES, ...VALUE_CASES };
const IDS = Object.keys(RULES) as RuleId[];

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "heirloom-verify-"));
});
afterAll(() => rm(root, { recursive: true }));

let scenes = 0;
async function verify({ subject, base, previous, options }: Scene): Promise<VerifyResult> {
  const folder = join(root, String(scenes++));
  await writeFolder(join(folder, "subject"), subject);
  if (base !== undefined) await writeFolder(join(folder, "base"), base);
  if (previous !== undefined) await writeFolder(join(folder, "previous"), previous);
  return verifyPath(join(folder, "subject"), {
    ...options,
    ...(base === undefined ? {} : { base: join(folder, "base") }),
    ...(previous === undefined ? {} : { against: join(folder, "previous") }),
  });
}

describe("the table of rules", () => {
  it("has every file of the folder, under its name", async () => {
    const files = (await readdir("src/audit/verify/rules")).filter((name) => name !== "index.ts").map((name) => name.replace(/\.ts$/, ""));
    expect([...IDS].sort()).toEqual(files.sort());
    for (const [id, rule] of Object.entries(RULES)) expect(rule.id).toBe(id);
  });

  it("says of every rule what it means and what to do, without a line break", () => {
    for (const { meaning, remedy } of Object.values(RULES)) {
      expect(meaning).toMatch(/^[^\n]{40,}\.$/);
      expect(remedy).toMatch(/^[^\n]{20,}[^.\n]$/);
    }
  });
});

describe.each(IDS)("rule %s", (id) => {
  const { triggers, says, quiet } = CASES[id];

  it("finds what it is for", async () => {
    const { findings, checked } = await verify(triggers);
    expect(checked).toContain(id);
    const found = findings.filter(({ rule }) => rule === id);
    expect(found.map(({ message }) => message).join("\n")).toMatch(says);
    for (const { severity, hint } of found) {
      expect(severity).toBe(RULES[id].severity);
      expect(hint).not.toBe("");
    }
  });

  it("is silent on files that only look like it", async () => {
    const { findings, checked } = await verify(quiet);
    expect(checked).toContain(id);
    expect(findings.filter(({ rule }) => rule === id)).toEqual([]);
  });
});

describe("rule copy-of-quantized-linear", () => {
  const DOWN = "base_model.model.model.layers.0.mlp.down_proj.weight";
  const packed = { quant_method: "bitsandbytes", load_in_4bit: true, bnb_4bit_quant_type: "nf4" };
  const found = async (scene: Partial<Scene>, named = "some/base"): Promise<string[]> => {
    const config = { modules_to_save: ["down_proj"], base_model_name_or_path: named };
    const { findings } = await verify({ subject: adapterFiles(config, { ...Q_PAIR, [DOWN]: [4, 8] }), ...scene });
    return findings.filter(({ rule }) => rule === "copy-of-quantized-linear").map(({ message }) => message);
  };

  it("goes by the base's weights where they are there: an unpacked layer can be copied", async () => {
    const weight = "model.layers.0.mlp.down_proj.weight";
    expect(await found({ base: baseFiles({ quantization_config: packed }) })).toEqual([]);
    const tensors = { ...baseTensors(), [`${weight}.absmax`]: [1] };
    expect(await found({ base: baseFiles({ quantization_config: packed }, tensors) })).toHaveLength(1);
  });

  it("leaves out modules that the base's configuration skips", async () => {
    const skipping = { ...packed, llm_int8_skip_modules: ["down_proj", "lm_head"] };
    expect(await found({ base: { "config.json": { ...BASE_CONFIG, quantization_config: skipping } } })).toEqual([]);
  });

  it("takes the base's name for evidence only where no base is given", async () => {
    const named = "unsloth/Llama-3.2-1B-bnb-4bit";
    expect((await found({}, named)).join()).toMatch(/the adapter names unsloth\/Llama-3\.2-1B-bnb-4bit, a base in 4 bits/);
    expect(await found({ base: baseFiles() }, named)).toEqual([]);
    expect(await found({})).toEqual([]);
  });

  it("takes the record of a run that quantized its base for evidence", async () => {
    const subject = adapterFiles({ modules_to_save: ["down_proj"] }, { ...Q_PAIR, [DOWN]: [4, 8] });
    const recorded = (quantization: object | null) => ({
      ...subject,
      "heirloom.json": {
        ...{ schemaVersion: 1, run: "r", step: 1, base: { path: "base", fingerprint: { method: "sha256", value: "0" } } },
        config: { base: "base", quantization, adapter: { rank: 2, alpha: 4 }, data: {}, training: { groups: [] }, engine: {} },
        ...{ trainable: [], evaluations: [] },
      },
    });
    expect(await found({ subject: recorded({ type: "nf4" }) })).toEqual([expect.stringContaining("the run's base was in 4 bits")]);
    expect(await found({ subject: recorded(null) })).toEqual([]);
  });
});
