import { expect, it } from "vitest";
import { parseGate } from "../config/index.ts";
import { isHeirloomError } from "../core/index.ts";
import { requireKnownSets } from "../train/fixtures/inside.ts";
import { inFlags } from "./eval-flags.ts";

it("a gate that cannot be judged is told by its flag, with the flag that gives it a set", () => {
  const told = (texts: readonly string[], comparing = true): string[] => {
    const gates = texts.map((text) => parseGate(text));
    try {
      requireKnownSets(gates, { losses: ["held"], answers: [] }, comparing);
    } catch (error) {
      const translated = inFlags(error, texts, gates);
      if (isHeirloomError(translated)) return translated.problems.map(({ where, hint }) => `${where} → ${hint}`);
    }
    return [];
  };
  expect(told(["atMost: 2", "dataset: old, mustFall: true"])).toEqual([
    '--gate "dataset: old, mustFall: true" → did you mean held? Or name its file: --data old=FILE',
  ]);
  expect(told(["dataset: something-else, atMost: 2"])).toEqual([
    '--gate "dataset: something-else, atMost: 2" → known: held; name its file: --data something-else=FILE',
  ]);
  expect(told(["metric: f1, atLeast: 0.5"])).toEqual(['--gate "metric: f1, atLeast: 0.5" → name its file: --answers FILE']);
  expect(told(["dataset: hel, mustFall: true"])).toEqual([
    '--gate "dataset: hel, mustFall: true" → did you mean held? Or name its file: --data hel=FILE',
  ]);
  expect(told(["mustFall: true"], false)).toEqual([
    '--gate "mustFall: true" → name what to compare with: --against ADAPTER, or --against parent',
  ]);
});
