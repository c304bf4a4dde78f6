import { describe, expect, test } from "vitest";
import { type HeirloomError, isHeirloomError } from "../core/index.ts";
import { parseGate, resolveConfig } from "./index.ts";

function resolve(evaluation: string): ReturnType<typeof resolveConfig> {
  const text = `base: m\ndata: { train: t.jsonl, eval: { old: o.jsonl, new: n.jsonl } }\nevaluation:\n${evaluation}`;
  return resolveConfig({ file: { path: "/work/run.yaml", text } });
}

function failure(body: () => unknown): HeirloomError {
  try {
    body();
  } catch (error) {
    if (isHeirloomError(error)) return error;
    throw error;
  }
  throw new Error("expected a failure");
}

describe("gates", () => {
  test("name a set, a metric and conditions; true means in any measure", () => {
    const { config } = resolve(
      "  gates:\n    - { dataset: old, mustNotRise: 0.02 }\n    - { metric: perplexity, mustFall: true, atMost: 9 }",
    );
    const none = { mustFall: null, mustRise: null, mustNotRise: null, mustNotFall: null, atMost: null, atLeast: null };
    expect(config.evaluation.gates).toEqual([
      { ...none, dataset: ["old"], metric: "loss", mustNotRise: 0.02 },
      { ...none, dataset: null, metric: "perplexity", mustFall: 0, atMost: 9 },
    ]);
  });

  test("on unknown sets, without a condition or with two that contradict are refused at once, each in its line", () => {
    const error = failure(() =>
      resolve(
        "  gates:\n    - { dataset: odl, mustFall: true }\n    - { dataset: old }\n    - { dataset: [old, new], mustRise: true, mustFall: 0.1 }\n    - { dataset: old, metric: f1, atLeast: 0.5 }",
      ),
    );
    expect(error.code).toBe("CONFIG_INVALID");
    expect(error.problems.map(({ where }) => where?.replace(/:\d+$/, ""))).toEqual([5, 6, 7, 8].map((line) => `/work/run.yaml:${line}`));
    expect(error.problems[0]?.hint).toBe("did you mean old?");
    expect(error.problems[3]?.message).toContain("no set with f1 is called that");
  });

  test("may be about a parent's sets, which are known only when its record is read", () => {
    expect(resolve("  gates: [{ dataset: parent/old, mustNotRise: 0.02 }]").config.evaluation.gates).toHaveLength(1);
  });

  test("are read from a flag, with or without braces, and their mistakes are told", () => {
    expect(parseGate("dataset: old, mustNotRise: 0.02")).toEqual(parseGate("{ dataset: [old], mustNotRise: 0.02 }"));
    expect(failure(() => parseGate("mustNotRiseBy: 1")).problems[0]).toMatchObject({
      code: "CONFIG_UNKNOWN_KEY",
      where: "--gate mustNotRiseBy: 1",
    });
    expect(failure(() => parseGate("mustFall: no")).code).toBe("CONFIG_INVALID");
  });
});

describe("early stopping", () => {
  test("needs evaluations on the way, and a set that there is", () => {
    const error = failure(() => resolve("  earlyStopping: { patience: 2, dataset: nwe }"));
    expect(error.problems.map(({ hint }) => hint)).toEqual(["add evaluation.everySteps", "known: old, new"]);
    const { config } = resolve("  everySteps: 5\n  earlyStopping: { patience: 2 }");
    expect(config.evaluation.earlyStopping).toEqual({ dataset: null, patience: 2, minDelta: 0, restoreBest: true });
  });
});

test("files of answers are paths of the file that names them", () => {
  expect(resolve("  answers: { qa: qa.jsonl }").config.evaluation.answers).toEqual({ qa: ["/work/qa.jsonl"] });
  expect(resolve("  answers: qa.jsonl").config.evaluation.answers).toEqual({ answers: ["/work/qa.jsonl"] });
});
