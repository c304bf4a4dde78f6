import { describe, expect, test } from "vitest";
import { f32ToBf16 } from "../codecs/index.ts";
import { type Parameter, readValues } from "../engine/index.ts";
import { type BareParameter, bareParameter } from "./fixtures/parameter.ts";
import { type FrozenTensor, Liveness, type LivenessVerdict, livenessError } from "./liveness.ts";

interface Scene {
  readonly parameters: readonly Parameter[];
  readonly expected?: readonly string[];
  readonly frozen?: readonly FrozenTensor[];
  readonly seenRows?: readonly number[];
}

function watch({ parameters, expected, frozen = [], seenRows }: Scene): Liveness {
  return new Liveness({
    expected: new Set(expected ?? parameters.map(({ name }) => name)),
    parameters,
    frozen,
    seenRows: (parameter) => (seenRows !== undefined && parameter.name === "embedding" ? seenRows : null),
  });
}

interface Step {
  /** What the update does to values and gradients. */
  readonly gradients?: () => void;
  readonly move?: () => void;
  readonly decay?: number;
  readonly live?: boolean;
  readonly last?: boolean;
}

function update(liveness: Liveness, { gradients, move, decay = 1, live = true, last = false }: Step): LivenessVerdict | null {
  gradients?.();
  liveness.beforeUpdate();
  move?.();
  return liveness.afterUpdate(() => decay, live, last);
}

const failed = (verdict: LivenessVerdict | null): (string | undefined)[] => (verdict?.problems ?? []).map(({ where }) => where);
const change = (parameter: BareParameter, next: (value: number) => number): void => parameter.values.set(parameter.values.map(next));
const nudge = (parameter: BareParameter): void => change(parameter, (value) => value + 1e-3);
const eachOf = (tensors: readonly BareParameter[], act: (tensor: BareParameter) => void): void => {
  for (const tensor of tensors) act(tensor);
};
const grow = (parameter: BareParameter): void => void parameter.gradient.fill(0.1);

describe("liveness", () => {
  test("is proved after two updates with a rate, of which a warm-up's first is none", () => {
    const tensor = bareParameter([1, 2, 3]);
    const liveness = watch({ parameters: [tensor] });
    const moving = { gradients: () => grow(tensor), move: () => nudge(tensor) };
    expect(update(liveness, { gradients: () => grow(tensor), live: false })).toBeNull();
    expect(update(liveness, moving)).toBeNull();
    const verdict = update(liveness, moving);
    expect(verdict).toMatchObject({ ok: true, checked: ["tensor"], problems: [] });
    expect(liveness.done).toBe(true);
    expect(update(liveness, moving)).toBeNull();
  });

  test("is not passed by a tensor that has a gradient but does not move", () => {
    const [alive, still] = [bareParameter([1], { name: "alive" }), bareParameter([1], { name: "still" })];
    const liveness = watch({ parameters: [alive, still] });
    const step = { gradients: () => eachOf([alive, still], grow), move: () => nudge(alive) };
    update(liveness, step);
    const verdict = update(liveness, step);
    expect(failed(verdict)).toEqual(["still"]);
    expect(livenessError(verdict as LivenessVerdict)).toMatchObject({ code: "LIVENESS_FAILED", exitCode: 22 });
  });

  test("is not passed by a tensor that moves without ever having a gradient", () => {
    const tensor = bareParameter([1, 1]);
    const liveness = watch({ parameters: [tensor] });
    update(liveness, { move: () => nudge(tensor) });
    expect(update(liveness, { move: () => nudge(tensor) })?.problems[0]?.message).toContain("had no gradient in 2 updates");
  });

  test.each([
    ["weight decay alone has moved", (value: number) => value * 0.9999, false],
    ["an update below half a bf16 step has moved", (value: number) => value * 0.9999 - 1e-4, true],
  ])("judges a bf16 master before it is rounded: values that %s", (_title, next, ok) => {
    const gradient = new Float32Array(4).fill(0.1);
    const tensor: Parameter = {
      ...bareParameter([]),
      masterDtype: "BF16",
      values: f32ToBf16(Float32Array.of(1, -0.3, 0.017, 1e-8)),
      gradient,
    };
    const liveness = watch({ parameters: [tensor] });
    // To nearest, nothing of either would be left; stochastically, some of both.
    const move = (): void => liveness.beforeRounding(tensor, { start: 0, values: readValues(tensor).map(next) }, 0.9999);
    update(liveness, { move, decay: 0.9999 });
    expect(update(liveness, { move, decay: 0.9999 })?.ok).toBe(ok);
  });

  test("is not passed by values that weight decay alone has moved", () => {
    const tensor = bareParameter([1, -0.3, 0.017, 1e-8]);
    const liveness = watch({ parameters: [tensor] });
    const step = {
      gradients: () => grow(tensor),
      move: () => change(tensor, (v) => v * 0.9999),
      decay: 0.9999,
    };
    update(liveness, step);
    expect(update(liveness, step)?.problems[0]?.message).toContain("beyond what weight decay explains");
  });

  test("is passed by a tensor that moves and decays", () => {
    const tensor = bareParameter([1, -0.3, 0.017]);
    const liveness = watch({ parameters: [tensor] });
    const step = {
      gradients: () => grow(tensor),
      move: () => change(tensor, (v) => v * 0.99 - 1e-4),
      decay: 0.99,
    };
    update(liveness, step);
    expect(update(liveness, step)?.ok).toBe(true);
  });

  test("names a tensor that is said to be trainable but is not there", () => {
    const tensor = bareParameter([1]);
    const liveness = watch({ parameters: [tensor], expected: ["tensor", "absent"] });
    const step = { gradients: () => grow(tensor), move: () => nudge(tensor) };
    update(liveness, step);
    expect(failed(update(liveness, step))).toEqual(["absent"]);
  });

  test("names a tensor that moves without being said to be trainable, also by decay alone", () => {
    const tensors = [bareParameter([1], { name: "asked" }), bareParameter([2], { name: "extra" })];
    const liveness = watch({ parameters: tensors, expected: ["asked"] });
    const step = { gradients: () => eachOf(tensors, grow), move: () => eachOf(tensors, nudge) };
    update(liveness, step);
    expect(failed(update(liveness, step))).toEqual(["extra"]);
    const decayed = watch({ parameters: tensors, expected: [] });
    update(decayed, { decay: 0.9 });
    expect(failed(update(decayed, { decay: 0.9 }))).toEqual(["asked", "extra"]);
  });

  test("excuses an A without a gradient if B = 0 and there is one update only, not after two", () => {
    const a = bareParameter([1], { name: "a", role: "lora_A" });
    const b = bareParameter([0], { name: "b", role: "lora_B" });
    const onlyB = { gradients: () => grow(b), move: () => nudge(b) };
    expect(update(watch({ parameters: [a, b] }), { ...onlyB, last: true })).toMatchObject({ ok: true });
    const liveness = watch({ parameters: [a, b] });
    update(liveness, onlyB);
    expect(failed(update(liveness, onlyB))).toEqual(["a"]);
  });

  test("does not excuse a B that stays behind in the only update", () => {
    const b = bareParameter([0], { name: "b", role: "lora_B" });
    expect(failed(update(watch({ parameters: [b] }), { last: true }))).toEqual(["b"]);
  });

  test("fails at the end of a run that never had a rate above 0, instead of saying nothing", () => {
    const tensor = bareParameter([1]);
    const verdict = update(watch({ parameters: [tensor] }), { gradients: () => grow(tensor), live: false, last: true });
    expect(verdict?.problems[0]?.message).toContain("no update of the run had a learning rate above 0");
  });
});

describe("an embedding's liveness", () => {
  const rows = 100;
  const width = 8;
  const embedding = () => bareParameter(new Array<number>(rows * width).fill(1), { name: "embedding", shape: [rows, width] });
  const moveRow = (tensor: Parameter, row: number) => void tensor.values.fill(2, row * width, (row + 1) * width);

  test("is judged on the rows that were seen, so one of them is enough", () => {
    const tensor = embedding();
    const liveness = watch({ parameters: [tensor], seenRows: [7, 90] });
    const step = { gradients: () => grow(tensor), move: () => moveRow(tensor, 90) };
    update(liveness, step);
    expect(update(liveness, step)?.ok).toBe(true);
  });

  test("is not proved by a row that no token asked for", () => {
    const tensor = embedding();
    const liveness = watch({ parameters: [tensor], seenRows: [7, 90] });
    const step = { gradients: () => grow(tensor), move: () => moveRow(tensor, 8) };
    update(liveness, step);
    expect(failed(update(liveness, step))).toEqual(["embedding"]);
  });

  test("looks at many rows however wide they are: the first token seen may have no gradient", () => {
    const width = 4096;
    const tensor = bareParameter([], {
      name: "embedding",
      shape: [40, width],
      values: new Float32Array(40 * width),
      gradient: new Float32Array(40 * width),
    });
    const liveness = watch({ parameters: [tensor], seenRows: [3, 1, 39] });
    const step = { gradients: () => grow(tensor), move: () => void tensor.values.fill(2, 39 * width) };
    update(liveness, step);
    expect(update(liveness, step)?.ok).toBe(true);
  });
});

describe("frozen tensors", () => {
  const scene = () => {
    const tensor = bareParameter([1]);
    const dense = { name: "norm", memory: [Float32Array.of(1, 2, 3)] };
    const packed = { name: "linear", memory: [Uint8Array.of(0x12, 0x34), Float32Array.of(0.5)] };
    const liveness = watch({ parameters: [tensor], frozen: [dense, packed] });
    return { liveness, dense, packed, step: { gradients: () => grow(tensor), move: () => nudge(tensor) } };
  };

  test("are let through when nothing touches them", () => {
    const { liveness, step } = scene();
    update(liveness, step);
    expect(update(liveness, step)?.ok).toBe(true);
  });

  test.each([
    ["a dense value", "norm", 0],
    ["a packed code", "linear", 0],
    ["a block's scale", "linear", 1],
  ] as const)("are named when %s changes under them", (_what, name, part) => {
    const { liveness, dense, packed, step } = scene();
    update(liveness, step);
    const memory = (name === "norm" ? dense : packed).memory[part] as Float32Array | Uint8Array;
    const touch = () => {
      step.move();
      memory[0] = (memory[0] as number) + 1;
    };
    expect(failed(update(liveness, { ...step, move: touch }))).toEqual([name]);
  });
});
