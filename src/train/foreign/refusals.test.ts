import { describe, expect, test } from "vitest";
import { ProblemList } from "../../core/index.ts";
import type { SavedGroup, SavedOptimizer, SavedParameterState, TorchTensor } from "../../formats/index.ts";
import type { LedgerEntry } from "../../ledger/index.ts";
import { epochNotes, refuseArguments, trainerNotes, trainerSettings } from "./arguments.ts";
import type { TrainerCheckpoint } from "./files.ts";
import { foreignOptimizer, groupValues } from "./optimizer.ts";

const A = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.default.weight";
const B = "base_model.model.model.layers.0.self_attn.q_proj.lora_B.default.weight";
const HEAD = "base_model.model.lm_head.modules_to_save.default.weight";
const ENTRIES = [
  [A, [2, 8], "lora_A"],
  [B, [8, 2], "lora_B"],
  [HEAD, [32, 8], "full_copy"],
].map(
  ([name, shape, role]) =>
    ({ name, shape, role, module: role === "full_copy" ? "lm_head" : "q_proj", trainable: true }) as unknown as LedgerEntry,
);

const ADAMW = new Map<string, string | number | boolean | null>([
  ["amsgrad", false],
  ["maximize", false],
  ["decoupled_weight_decay", true],
]);
const group = (indices: readonly number[], facts: Partial<SavedGroup> = {}): SavedGroup => ({
  ...{ learningRate: 1e-3, peak: 1e-3, weightDecay: 0.01, betas: [0.9, 0.999], epsilon: 1e-8, options: ADAMW, indices },
  ...facts,
});
type Kept = Readonly<Record<string, string>>;
/** State of all three tensors under these keys, with their dtypes, after five updates. */
const stateOf = (kept: Kept): SavedOptimizer["state"] =>
  new Map(
    ENTRIES.map(({ shape }, index): [number, SavedParameterState] => {
      const tensors = Object.entries(kept).map(([key, dtype]): [string, TorchTensor] => [
        key,
        { kind: "tensor", shape, dtype } as TorchTensor,
      ]);
      return [index, { updates: 5, tensors: new Map(tensors), shape, kind: "adam" }];
    }),
  );
/** The moments of AdamW, the last tensor's after as many updates as are given. */
const lastAfter = (updates: number | null): SavedOptimizer["state"] =>
  new Map([...stateOf(MOMENTS)].map(([index, kept]) => [index, index === 2 ? { ...kept, updates } : kept]));
const MOMENTS: Kept = { exp_avg: "F32", exp_avg_sq: "F32" };

const checkpoint = (optimizer: Partial<SavedOptimizer> = {}, facts: Partial<TrainerCheckpoint> = {}): TrainerCheckpoint => ({
  path: "out/checkpoint-5",
  stateFiles: [],
  ...{ step: 5, maxSteps: 10, epoch: 1, batchSize: 4, log: [], scheduled: 5 },
  optimizer: {
    ...{ file: "optimizer.pt", groups: [group([0, 1, 2]), group([], { weightDecay: 0 })], state: stateOf(MOMENTS), shared: [] },
    ...optimizer,
  },
  ...{ arguments: new Map(), argumentsClass: null, unread: [], processes: 1, hasLossScaler: false },
  ...facts,
});
const judged = (from: TrainerCheckpoint) => {
  const problems = new ProblemList();
  const found = foreignOptimizer(from, ENTRIES, problems, "the weights alone");
  return { found, messages: problems.problems.map(({ message }) => message), hints: problems.problems.map(({ hint }) => hint) };
};

describe("an optimizer that is not torch's AdamW is refused by name", () => {
  const cases: readonly [string, Partial<SavedOptimizer>][] = [
    ["bitsandbytes' 8-bit optimizer", { state: stateOf({ state1: "U8", state2: "U8" }) }],
    ["bitsandbytes' optimizer", { state: stateOf({ state1: "F32", state2: "F32" }) }],
    ["SGD", { state: stateOf({ momentum_buffer: "F32" }) }],
    ["Adafactor", { state: stateOf({ exp_avg_sq_row: "F32", exp_avg_sq_col: "F32" }) }],
    ["Lion", { state: stateOf({ exp_avg: "F32" }) }],
    ["AMSGrad", { state: stateOf({ ...MOMENTS, max_exp_avg_sq: "F32" }) }],
    ["an optimizer that is not known", { state: stateOf({ momentum: "F32" }) }],
    ["an optimizer that is not known", { shared: ["global_step"] }],
    ["an Adam that is not torch's", { groups: [group([0, 1, 2], { options: new Map([["correct_bias", true]]) }), group([])] }],
    ["AMSGrad", { groups: [group([0, 1, 2], { options: new Map([...ADAMW, ["amsgrad", true]]) }), group([])] }],
    ["an AdamW that maximizes", { groups: [group([0, 1, 2], { options: new Map([...ADAMW, ["maximize", true]]) }), group([])] }],
    [
      "Adam with weight decay in the gradient",
      { groups: [group([0, 1, 2], { options: new Map([...ADAMW, ["decoupled_weight_decay", false]]) }), group([])] },
    ],
  ];
  test.each(cases)("%s", (name, optimizer) => {
    const args = new Map([["optim", "adamw_8bit"]]);
    const { found, messages, hints } = judged(checkpoint(optimizer, { arguments: args }));
    expect(found).toBeNull();
    expect(messages).toEqual([`expected the state of torch's AdamW, found that of ${name} (optim "adamw_8bit")`]);
    expect(hints).toEqual(["the weights alone"]);
  });
});

describe("an AdamW whose state is not that of the adapter is refused", () => {
  const cases: readonly [string, Partial<SavedOptimizer>, RegExp][] = [
    ["tensors that it never updated", { state: new Map([...stateOf(MOMENTS)].slice(0, 2)) }, /has never updated .*lm_head/],
    ["no counts", { state: lastAfter(null) }, /index 2 has no step/],
    ["different counts", { state: lastAfter(3) }, /different numbers of updates: 5, 3/],
    ["no peak rate", { groups: [group([0, 1, 2], { peak: null }), group([])] }, /initial_lr/],
    ["different betas", { groups: [group([0, 1]), group([2], { betas: [0.9, 0.95] })] }, /one pair of betas for all groups/],
    ["too many tensors", { groups: [group([0, 1, 2, 3]), group([])] }, /cannot be matched/],
  ];
  test.each(cases)("%s", (_, optimizer, message) => {
    const { found, messages } = judged(checkpoint(optimizer));
    expect(found).toBeNull();
    expect(messages.join()).toMatch(message);
  });

  test("shapes that are those of other tensors", () => {
    const state = new Map([...stateOf(MOMENTS)].map(([index, kept]) => [2 - index, kept] as const));
    expect(judged(checkpoint({ state })).messages.join()).toMatch(/index 0 has the shape \[32, 8\], and .*lora_A/);
  });
});

describe("what a checkpoint says", () => {
  test("gives groups that mean exactly its tensors, in patterns where there are any", () => {
    const { found } = judged(checkpoint({ groups: [group([0, 1]), group([2], { peak: 1e-4, learningRate: 5e-5 })] }));
    expect(found).toMatchObject({ order: "unsloth", updates: 5, betas: [0.9, 0.999] });
    expect(groupValues(found?.groups ?? [])).toMatchObject([{ name: "embeddings", match: ["lm_head"], learningRate: 1e-4 }]);
    const shared = { peak: 1, next: 1, weightDecay: 0 };
    const loraB = [
      { name: "a", tensors: [A, HEAD], ...shared },
      { name: "b", tensors: [B], ...shared },
    ];
    expect(groupValues(loraB)).toMatchObject([{ match: ["*.lora_B*"] }]);
    const mixed = [
      { name: "a", tensors: [A], ...shared },
      { name: "b", tensors: [B, HEAD], ...shared },
    ];
    expect(groupValues(mixed)).toMatchObject([{ match: [B, HEAD] }]);
  });

  test.each([
    [{ warmup_steps: 3 }, 3],
    [{ warmup_steps: 0.25 }, 3],
    [{ warmup_steps: 0, warmup_ratio: 0.25 }, 3],
    [{ warmup_steps: 0 }, 0],
    [{ lr_scheduler_type: "constant", warmup_steps: 3 }, 0],
  ])("of the warm-up, in each spelling: %j", (given, steps) => {
    const args = new Map<string, string | number>(Object.entries({ lr_scheduler_type: "linear", ...given }));
    expect(trainerSettings(checkpoint({}, { arguments: args })).warmupSteps).toBe(steps);
  });

  test("of several processes becomes as many micro-batches, and is told like everything that is not the same here", () => {
    const args = new Map<string, string | number | boolean>([
      ["gradient_accumulation_steps", 2],
      ["per_device_train_batch_size", 4],
      ["max_grad_norm", 0],
      ["bf16", true],
      ["packing", true],
    ]);
    const from = checkpoint({}, { arguments: args, processes: 3, hasLossScaler: true });
    expect(trainerSettings(from)).toMatchObject({ accumulation: 6, batchSize: 4, maxGradNorm: null, packing: true });
    expect(trainerNotes(from, 0.1).join("\n")).toMatch(/dropout masks.*3 trained together.*bf16 there.*label tokens/s);
    expect(epochNotes(5, 1.25, 1.25)).toEqual([]);
    expect(epochNotes(5, 1.25, 1)).toEqual(["data: 5 updates were 1.2500 epochs there and are 1.0000 here: other rows, or other batches"]);
  });

  test("of another loss is refused by its argument", () => {
    const problems = new ProblemList();
    const args = new Map<string, number | null>([
      ["label_smoothing_factor", 0.1],
      ["neftune_noise_alpha", 5],
    ]);
    refuseArguments(checkpoint({}, { arguments: args }), problems, "the weights alone");
    expect(problems.problems.map(({ code, message }) => `${code} ${message}`)).toEqual([
      "HANDOVER_UNSUPPORTED the loss had label smoothing (label_smoothing_factor 0.1), which is not implemented",
      "HANDOVER_UNSUPPORTED noise was added to the embeddings (NEFTune) (neftune_noise_alpha 5), which is not implemented",
    ]);
  });
});
