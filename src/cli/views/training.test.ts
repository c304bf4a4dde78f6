import { describe, expect, test } from "vitest";
import type { TrainingResult } from "../../train/index.ts";
import { paint } from "../terminal/index.ts";
import { trainingView } from "./training.ts";

const view = { paint: paint(false), columns: 100 };
const PARTS = { run: "runs/a", adapter: "runs/a/adapter", banner: "1 of 2", stopped: null, keptStep: 2, steps: 2, tokens: 9, seconds: 1 };
const MEASURES = { loss: 1, evaluations: [], answers: [], samples: [] };

function ending(gates: readonly { readonly ok: boolean }[]): string {
  const result: unknown = {
    ...PARTS,
    ...MEASURES,
    gates: gates.map((gate) => ({ dataset: "d", metric: "loss", condition: "< 1", before: 1, after: 2, limit: 1, ...gate })),
  };
  return trainingView(result as TrainingResult, view);
}

describe("the end of a training", () => {
  test("names the commands that come next", () => {
    expect(ending([])).toContain('heirloom generate runs/a --prompt "…"; trained on chats: heirloom chat runs/a');
  });

  test("names none for weights that a gate rejected", () => {
    expect(ending([{ ok: false }])).not.toContain("heirloom generate");
  });
});
