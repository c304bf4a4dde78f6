import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Graph, graph, loadRuntime, type Runtime } from "../compute/index.ts";
import { HeirloomError } from "../core/index.ts";
import { assertSameLedger, compareLedgers, type Ledger } from "../ledger/index.ts";
import { openSession } from "./fixtures/live-session.ts";
import { failure, TinyWorkshop } from "./fixtures/tiny-run.ts";
import { observeSession } from "./observe.ts";

let workshop: TinyWorkshop;
let runtime: Runtime;

beforeAll(async () => {
  workshop = await TinyWorkshop.open();
  runtime = await loadRuntime();
});
afterAll(() => workshop.close());

type Outputs = Graph["outputs"];

/**
 * A runtime that loses outputs of graphs, as a bug in autodiff or in the engine
 * would. It compiles the rest on paper only: nothing is run here.
 */
function lossyRuntime(loses: (output: string, program: string) => boolean): Runtime {
  return {
    ...runtime,
    compile(whole, options) {
      const name = options?.name ?? "";
      const kept: Outputs = Object.fromEntries(Object.entries(whole.outputs).filter(([output]) => !loses(output, name)));
      const { inputs, outputs } = graph({ outputs: kept });
      return Promise.resolve({ name, inputs, outputs, run: () => Promise.resolve(), dispose: () => Promise.resolve() });
    },
  };
}

async function observed(given: Runtime, values: object = {}): Promise<{ predicted: Ledger; ledger: Ledger }> {
  const { prepared, session, source } = await openSession(workshop.configure({ ...values }).config, given);
  const { batch, sequence } = source.next();
  const ledger = await observeSession(session.model, session.optimizer, batch, sequence);
  await session.model.dispose();
  return { predicted: prepared.ledger, ledger };
}

function mismatch(expected: Ledger, actual: Ledger): HeirloomError {
  try {
    assertSameLedger(expected, actual, "the live model");
  } catch (error) {
    if (error instanceof HeirloomError) return error;
    throw error;
  }
  throw new Error("expected the ledgers to differ");
}

const frozen = ({ predicted, ledger }: { predicted: Ledger; ledger: Ledger }): string[] =>
  compareLedgers(predicted, ledger).flatMap(({ kind, name }) => (kind === "trainable→frozen" ? [name] : []));

const LINEARS = [
  "self_attn.q_proj",
  "self_attn.k_proj",
  "self_attn.v_proj",
  "self_attn.o_proj",
  "mlp.gate_proj",
  "mlp.up_proj",
  "mlp.down_proj",
];
const PREFIX = "base_model.model.";
const EMBEDDING = `${PREFIX}model.embed_tokens.modules_to_save.default.weight`;
const HEAD = `${PREFIX}lm_head.modules_to_save.default.weight`;

describe("the observed ledger", () => {
  test.each([
    ["an adapter with full copies", {}],
    ["bf16 copies", { adapter: { fullCopyDtype: "bf16" } }],
    ["one layer", { adapter: { layers: [1], modulesToSave: [] }, training: { groups: [] } }],
    ["dropout and recomputation", { adapter: { dropout: 0.1 }, engine: { activations: "recompute" } }],
    ["an unquantized base", { quantization: "none" }],
    ["all weights of the base", { quantization: "none", fullParameter: true, adapter: "none", training: { groups: [] } }],
  ])("is the predicted one for %s", async (_what, values) => {
    const { predicted, ledger } = await observed(runtime, values);
    expect(compareLedgers(predicted, ledger)).toEqual([]);
    expect(ledger.basis).toBe("observed");
  });

  test.each(LINEARS.flatMap((name) => [`${name}.lora_A`, `${name}.lora_B`]))(
    "notices that the backward graph has lost the gradient of %s",
    async (name) => {
      const result = await observed(lossyRuntime((output) => output === `d:${name}`));
      const names = [0, 1].map((layer) => `${PREFIX}model.layers.${layer}.${name}.default.weight`);
      expect(frozen(result)).toEqual(names);
      const error = mismatch(result.predicted, result.ledger);
      expect(error).toMatchObject({ code: "LEDGER_MISMATCH", exitCode: 12 });
      for (const tensor of names) expect(error.message).toContain(tensor);
    },
  );

  test("notices that the head's graph has lost the gradient of its weight", async () => {
    expect(frozen(await observed(lossyRuntime((output) => output === "d:lm_head.weight")))).toEqual([HEAD]);
  });

  test("notices that no gradient reaches the embedding, nor any block below one that does not pass it on", async () => {
    const below = frozen(await observed(lossyRuntime((output, program) => output === "d:x" && program === "block-backward")));
    expect(below).toContain(EMBEDDING);
    expect(below.filter((name) => name.includes("layers.0."))).toHaveLength(14);
    expect(below.some((name) => name.includes("layers.1."))).toBe(false);
    const all = frozen(await observed(lossyRuntime((output, program) => output === "d:x" && program === "head-norm-gradients")));
    expect(all).toHaveLength(29);
    expect(all).not.toContain(HEAD);
  });

  test("notices every optimizer slot that is missing or has no state", async () => {
    const { prepared, session, source } = await openSession(
      workshop.configure().config,
      lossyRuntime(() => false),
    );
    const { batch, sequence } = source.next();
    const { slots } = session.optimizer;
    expect(slots).toHaveLength(30);
    for (const lost of slots) {
      const without = { ...session.optimizer, slots: slots.filter((slot) => slot !== lost), step: 0, update: () => Promise.resolve() };
      const emptied = { ...without, slots: slots.map((slot) => (slot === lost ? { ...slot, state: {} } : slot)) };
      for (const optimizer of [without, emptied])
        expect(frozen({ predicted: prepared.ledger, ledger: await observeSession(session.model, optimizer, batch, sequence) })).toEqual([
          lost.parameter.name,
        ]);
    }
    await session.model.dispose();
  });

  test("knows the group of the slot, not that of the plan", async () => {
    const { prepared, session, source } = await openSession(
      workshop.configure().config,
      lossyRuntime(() => false),
    );
    const { batch, sequence } = source.next();
    const slots = session.optimizer.slots.map((slot) => (slot.parameter.name === HEAD ? { ...slot, group: "default" } : slot));
    const ledger = await observeSession(
      session.model,
      { ...session.optimizer, slots, step: 0, update: () => Promise.resolve() },
      batch,
      sequence,
    );
    expect(mismatch(prepared.ledger, ledger).message).toContain(HEAD);
    await session.model.dispose();
  });

  test("does not know how a ledger is predicted", () => {
    for (const file of ["./observe.ts", "../ledger/observe.ts"]) {
      const text = readFileSync(new URL(file, import.meta.url), "utf8");
      expect(text).not.toMatch(/predictLedger|predict\.ts|prepare\.ts/);
      expect(text).not.toMatch(/resolveTargets|adapterTensors|modelParameters/);
    }
  });
});

describe("a freeze after loading", () => {
  const faults = (ledgerCheck: boolean) => ({ faults: { freeze: [EMBEDDING, HEAD], ledgerCheck } });

  test("is refused by the ledger, before anything is written", async () => {
    const error = await failure(workshop.train({ output: workshop.path("frozen") }, faults(true)));
    expect(error).toMatchObject({ code: "LEDGER_MISMATCH", exitCode: 12 });
    expect(error.message).toContain(EMBEDDING);
    expect(error.message).toContain(HEAD);
    expect(() => readFileSync(workshop.path("frozen"))).toThrow("ENOENT");
  });

  test("is refused by liveness where the ledger is not asked, the tensors named", async () => {
    const error = await failure(workshop.train({}, faults(false)));
    expect(error).toMatchObject({ code: "LIVENESS_FAILED", exitCode: 22 });
    expect(error.problems.map(({ where }) => where)).toEqual([EMBEDDING, HEAD]);
  });
});

describe("liveness in a run", () => {
  const verdicts = async (values: Readonly<Record<string, unknown>>) =>
    (await workshop.train(values)).events.flatMap((event) => (event.type === "liveness" ? [event] : []));

  test("is reported with every trainable tensor, after the warm-up and B = 0", async () => {
    const [verdict] = await verdicts({ training: { warmupSteps: 2 } });
    // Update 1 of a warm-up has rate 0: updates 2 and 3 are the first two that move anything.
    expect(verdict).toMatchObject({ step: 3, ok: true });
    expect(verdict?.tensors).toHaveLength(30);
  });

  test("is reported for a run of a single update", async () => {
    expect(await verdicts({ training: { steps: 1 } })).toMatchObject([{ step: 1, ok: true }]);
  });

  test("is reported for full-parameter training, and for bf16 copies with weight decay", async () => {
    const full = { quantization: "none", fullParameter: true, adapter: "none", training: { groups: [], steps: 2 } };
    expect(await verdicts(full)).toMatchObject([{ ok: true }]);
    const copies = { adapter: { fullCopyDtype: "bf16" }, training: { weightDecay: 0.1, learningRate: 1e-4, steps: 2 } };
    expect(await verdicts(copies)).toMatchObject([{ ok: true }]);
  });

  test("fails for a group with rate 0, its tensors named", async () => {
    const groups = [{ name: "still", match: ["lm_head"], learningRate: 0 }];
    const error = await failure(workshop.train({ training: { groups } }));
    expect(error).toMatchObject({ code: "LIVENESS_FAILED", exitCode: 22 });
    expect(error.problems.map(({ where }) => where)).toEqual([HEAD]);
  });

  test("need not come to it where the rate is 0 to the end: that is told before", async () => {
    expect(await failure(workshop.train({ training: { learningRate: 0, groups: [] } }))).toMatchObject({
      code: "CONFIG_INVALID",
      exitCode: 10,
    });
  });
});
