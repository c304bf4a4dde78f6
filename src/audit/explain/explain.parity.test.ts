import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { parseModelConfig } from "../../model/index.ts";
import { explain, type Hypothesis } from "./index.ts";

const FOLDER = "vectors/peft-banners";
const LINEARS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];

interface BannerRecord {
  readonly base: string;
  readonly fresh: string;
}

/** What PEFT was told, as explain should find it. */
const CASES: readonly (readonly [name: string, rank: number, targets: readonly string[], layers: number, more: Partial<Hypothesis>])[] = [
  ["all7", 8, LINEARS, 3, {}],
  ["all_linear", 4, LINEARS, 3, {}],
  ["exclude_modules", 4, ["q_proj", "k_proj", "v_proj", "o_proj", "down_proj"], 3, {}],
  ["layers_to_transform", 4, ["q_proj", "v_proj"], 2, {}],
  ["regex", 4, ["q_proj", "v_proj"], 2, {}],
  ["rslora", 8, ["q_proj", "v_proj", "down_proj"], 3, {}],
  ["dora", 4, ["q_proj", "v_proj", "down_proj"], 3, { method: "dora" }],
  ["bias_all", 4, ["q_proj", "down_proj"], 3, { bias: "all" }],
  ["bias_lora_only", 4, ["q_proj", "v_proj"], 3, { bias: "lora_only" }],
  ["lora_embedding", 4, ["q_proj", "lm_head", "embed_tokens"], 3, {}],
  ["tied_lora_embedding", 4, ["v_proj", "embed_tokens"], 3, {}],
  ["modules_to_save", 8, LINEARS, 3, {}],
  ["four_bit_all_linear", 8, LINEARS, 3, {}],
  ["tied_modules_to_save", 4, ["q_proj", "v_proj"], 3, {}],
];

describe("explain, against banners that PEFT printed", () => {
  it.each(CASES)("finds %s among the exact solutions", (name, rank, targets, count, more) => {
    const { base, fresh } = JSON.parse(readFileSync(`${FOLDER}/${name}/record.json`, "utf8")) as BannerRecord;
    const config = `${FOLDER}/${base}/config.json`;
    const { hypotheses } = explain(fresh, parseModelConfig(JSON.parse(readFileSync(config, "utf8")), config));
    const copies: Record<string, readonly [string, string]> = {
      modules_to_save: ["trained", "trained"],
      four_bit_all_linear: ["trained", "trained"],
      tied_modules_to_save: ["absent", "trained"],
    };
    const [embedding, head] = copies[name] ?? ["absent", "absent"];
    expect(hypotheses).toContainEqual(
      expect.objectContaining({
        method: "lora",
        bias: "none",
        counting: "values",
        ...more,
        rank,
        targets,
        layers: { count, of: 3 },
        exact: true,
        fullCopies: [
          { module: "embed_tokens", state: embedding, shared: false },
          { module: "lm_head", state: head, shared: false },
        ],
      }),
    );
  });
});
