import { nearestName, ProblemList } from "../core/index.ts";
import { parseConfigFile } from "./yaml-file.ts";

function isTextList(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === "string" && item !== "");
}

interface ChangeRule {
  /** What the value must be, for messages. */
  readonly expected: string;
  readonly accepts: (value: unknown) => boolean;
  /** Dotted path of the key in run.yaml that it stands for. */
  readonly key: string;
}

const number = (expected: string, accepts: (value: number) => boolean, key: string): ChangeRule => ({
  expected,
  key,
  accepts: (value) => typeof value === "number" && accepts(value),
});
const choice = (values: readonly string[], key: string): ChangeRule => ({
  expected: `one of ${values.join(", ")}`,
  key,
  accepts: (value) => values.includes(value as string),
});
const textOrList = (key: string, extra: readonly unknown[] = []): ChangeRule => ({
  expected: "a name, a pattern or a list of names",
  key,
  accepts: (value) => (typeof value === "string" && value !== "") || isTextList(value) || extra.includes(value),
});

const pattern = (key: string): ChangeRule => ({
  expected: "an object of numbers above 0 by name",
  key,
  accepts: (value) =>
    typeof value === "object" &&
    value !== null &&
    !Array.isArray(value) &&
    Object.values(value).every((item) => typeof item === "number" && item > 0),
});

/** Everything about an adapter that a continuation may change, if it is named. */
const CHANGES = {
  base: { expected: "the path of a model folder", key: "base", accepts: (value) => typeof value === "string" && value !== "" },
  quantization: choice(["nf4", "none"], "quantization"),
  rank: number("a whole number above 0", (value) => Number.isInteger(value) && value > 0, "adapter.rank"),
  alpha: number("a number above 0", (value) => value > 0, "adapter.alpha"),
  rankPattern: pattern("adapter.rankPattern"),
  alphaPattern: pattern("adapter.alphaPattern"),
  rslora: { expected: "true or false", key: "adapter.rslora", accepts: (value) => typeof value === "boolean" },
  dropout: number("a number from 0 to below 1", (value) => value >= 0 && value < 1, "adapter.dropout"),
  targetModules: textOrList("adapter.targetModules"),
  excludeModules: textOrList("adapter.excludeModules", [null]),
  layers: {
    expected: "a list of layer numbers, or null for all",
    key: "adapter.layers",
    accepts: (value) =>
      value === null ||
      (Array.isArray(value) && value.length > 0 && value.every((item) => Number.isInteger(item) && (item as number) >= 0)),
  },
  modulesToSave: textOrList("adapter.modulesToSave"),
  ensureWeightTying: { expected: "true or false", key: "adapter.ensureWeightTying", accepts: (value) => typeof value === "boolean" },
  fullCopyDtype: choice(["fp32", "bf16"], "adapter.fullCopyDtype"),
  groups: { expected: "no value: the groups come from the file", key: "training.groups", accepts: () => false },
} as const satisfies Record<string, ChangeRule>;

const rate = (key: string): ChangeRule => number("a number of at least 0", (value) => value >= 0, key);
const count = (key: string): ChangeRule => number("a whole number above 0", (value) => Number.isInteger(value) && value > 0, key);

/** What another trainer's checkpoint says of its run besides, and going on with it may change, if it is named. */
const RUN_CHANGES = {
  learningRate: rate("training.learningRate"),
  weightDecay: rate("training.weightDecay"),
  betas: {
    expected: "two numbers from 0 to below 1",
    key: "training.betas",
    accepts: (value) =>
      Array.isArray(value) && value.length === 2 && value.every((item) => typeof item === "number" && item >= 0 && item < 1),
  },
  epsilon: number("a number above 0", (value) => value > 0, "training.epsilon"),
  maxGradNorm: {
    expected: "a number above 0, or null for none",
    key: "training.maxGradNorm",
    accepts: (value) => value === null || (typeof value === "number" && value > 0),
  },
  schedule: choice(["linear", "cosine", "constant"], "training.schedule"),
  warmupSteps: number("a whole number of at least 0", (value) => Number.isInteger(value) && value >= 0, "training.warmupSteps"),
  steps: count("training.steps"),
  batchSize: count("training.batchSize"),
  accumulation: count("training.accumulation"),
  lossNormalization: choice(["token", "micro"], "training.lossNormalization"),
  seed: number("a whole number of at least 0", (value) => Number.isInteger(value) && value >= 0, "training.seed"),
  packing: { expected: "true or false", key: "data.packing", accepts: (value) => typeof value === "boolean" },
} as const satisfies Record<string, ChangeRule>;

const ALL_CHANGES = { ...CHANGES, ...RUN_CHANGES } as const;

/** The name of something of a run, beyond its adapter, that `resume --change` can name. */
export type RunChangeName = keyof typeof RUN_CHANGES;
/** The name of something that `--change` can name. */
export type ChangeName = keyof typeof CHANGES | RunChangeName;

/** Value types of the changes that can be given one. */
interface ChangeValues {
  base: string;
  quantization: "nf4" | "none";
  rank: number;
  alpha: number;
  rankPattern: Record<string, number>;
  alphaPattern: Record<string, number>;
  rslora: boolean;
  dropout: number;
  targetModules: string | string[];
  excludeModules: string | string[] | null;
  layers: number[] | null;
  modulesToSave: string | string[];
  ensureWeightTying: boolean;
  fullCopyDtype: "fp32" | "bf16";
  learningRate: number;
  weightDecay: number;
  betas: [number, number];
  epsilon: number;
  maxGradNorm: number | null;
  schedule: "linear" | "cosine" | "constant";
  warmupSteps: number;
  steps: number;
  batchSize: number;
  accumulation: number;
  lossNormalization: "token" | "micro";
  seed: number;
  packing: boolean;
}

/** The differences that a continuation was told to make. */
export interface Changes {
  /** Everything named, with or without a value: these may differ from the adapter. */
  readonly named: ReadonlySet<ChangeName>;
  /** Those that were given a value on the spot; the others take theirs from the file. */
  readonly values: Readonly<Partial<ChangeValues>>;
}

/** The names that `continue --change` knows: what makes an adapter what it is. */
export const CHANGE_NAMES = Object.keys(CHANGES) as ChangeName[];
/** Names that `resume --change` knows besides, for another trainer's checkpoint. */
export const RUN_CHANGE_NAMES = Object.keys(RUN_CHANGES) as RunChangeName[];

/** Dotted path in run.yaml of what a change names: `rank` → `adapter.rank`. */
export function changeKey(name: ChangeName): string {
  return ALL_CHANGES[name].key;
}

function isOneOf(name: string, known: readonly ChangeName[]): name is ChangeName {
  return (known as readonly string[]).includes(name);
}

/**
 * Parses `--change rank=64` (a value given here) and `--change groups` (allowed to differ; the value is the file's).
 * @param known what may be named
 * @throws USAGE for unknown names (with the nearest known one), wrong values and names given twice, all at once
 */
export function parseChanges(texts: readonly string[], known: readonly ChangeName[] = CHANGE_NAMES): Changes {
  const problems = new ProblemList();
  const named = new Set<ChangeName>();
  const values: Record<string, unknown> = {};
  for (const text of texts) {
    const at = text.indexOf("=");
    const name = at < 0 ? text : text.slice(0, at);
    const where = `--change ${text}`;
    if (!isOneOf(name, known)) {
      const nearest = nearestName(name, known);
      problems.add("USAGE", `nothing that can be changed is called "${name}"`, {
        where,
        hint: nearest === undefined ? `known: ${known.join(", ")}` : `did you mean ${nearest}?`,
      });
      continue;
    }
    if (named.has(name)) problems.add("USAGE", `"${name}" is named twice`, { where });
    named.add(name);
    if (at < 0) continue;
    try {
      const value = parseConfigFile(`value: ${text.slice(at + 1)}`, where).values["value"];
      const rule: ChangeRule = ALL_CHANGES[name];
      if (rule.accepts(value)) values[name] = value;
      else problems.add("USAGE", `expected ${rule.expected}, found ${JSON.stringify(value)}`, { where });
    } catch (error) {
      problems.absorb(error);
    }
  }
  problems.throwIfAny();
  return { named, values };
}

/** The changes that have a value, as flags for `resolveConfig`. */
export function changeFlags(changes: Changes): { key: string; value: unknown; flag: string }[] {
  return Object.entries(changes.values).map(([name, value]) => ({ key: changeKey(name as ChangeName), value, flag: `--change ${name}` }));
}
