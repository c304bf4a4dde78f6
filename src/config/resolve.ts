import { HeirloomError, InternalError, ProblemList } from "../core/index.ts";
import { problemsOf } from "./issues.ts";
import { type Layer, mergeLayers, provenanceOf, type Source, withoutDisplaced } from "./layers.ts";
import { folderOf, joinPath, resolvePaths } from "./paths.ts";
import { checkRules } from "./rules.ts";
import { type RunConfig, runSchema, type TrainingConfig } from "./schema.ts";
import { parseConfigFile } from "./yaml-file.ts";

/** A configuration text and the path that it was read from. */
export interface ConfigText {
  readonly path: string;
  readonly text: string;
}

/** One value from the command line. */
export interface FlagValue {
  /** Dotted path of the key: `adapter.rank`. */
  readonly key: string;
  readonly value: unknown;
  /** The flag as typed, for messages: `--rank`. */
  readonly flag: string;
}

/** The sources of a configuration, strongest first: flags, file, preset, inherited, defaults. */
export interface ConfigSources {
  readonly flags?: readonly FlagValue[];
  readonly file?: ConfigText;
  readonly preset?: ConfigText;
  /** What a continuation takes over from the adapter and its record: values in the form of run.yaml. */
  readonly inherited?: {
    readonly name: string;
    readonly values: Readonly<Record<string, unknown>>;
    /** Dotted keys in which these values rank above the preset: what makes the adapter what it is. */
    readonly own?: readonly string[];
  };
  /** Folder that paths in flags, presets and the default output are relative to. @defaultValue "." */
  readonly folder?: string;
}

/** A configuration in which every key has a value, and where each came from. */
export interface ResolvedConfig {
  readonly config: RunConfig;
  /** Source of every leaf, by dotted path; a list is one leaf. */
  readonly provenance: Readonly<Record<string, Source>>;
  /** What a preset says and an adapter's own values displaced, by dotted key; what both say alike is not in it. */
  readonly displaced: Readonly<Record<string, unknown>>;
}

function flagLayer(flags: readonly FlagValue[], folder: string): Layer {
  const values: Record<string, unknown> = Object.create(null) as Record<string, unknown>;
  for (const { key, value, flag } of flags) {
    const parts = key.split(".");
    let at = values;
    for (const [index, part] of parts.entries()) {
      if (index === parts.length - 1) {
        at[part] = value;
        break;
      }
      at[part] ??= Object.create(null) as Record<string, unknown>;
      const inner = at[part];
      if (typeof inner !== "object" || inner === null || Array.isArray(inner)) {
        throw new HeirloomError(
          "CONFIG_INVALID",
          `"${parts.slice(0, index + 1).join(".")}" was given a value already, so nothing can be set inside it`,
          { where: flag },
        );
      }
      at = inner as Record<string, unknown>;
    }
  }
  return {
    source: "flag",
    values: resolvePaths(values, folder),
    locate(path) {
      const dotted = path.map(String).join(".");
      const exact = flags.findLast(({ key }) => dotted === key || dotted.startsWith(`${key}.`) || key.startsWith(`${dotted}.`));
      return exact?.flag ?? "command line";
    },
  };
}

function fileLayer({ path, text }: ConfigText, source: "file" | "preset", folder: string): Layer {
  const file = parseConfigFile(text, path);
  return { source, values: resolvePaths(file.values, folder), locate: (key) => file.locate(key) };
}

/** A call from JavaScript may hand in anything; a value that is silently left out is the worst answer. */
function requireFlagList(flags: unknown): void {
  const isFlag = (flag: unknown): boolean => typeof flag === "object" && flag !== null && "key" in flag && typeof flag.key === "string";
  if (Array.isArray(flags) && flags.every(isFlag)) return;
  throw new HeirloomError("CONFIG_INVALID", "expected flags to be a list of { key, value, flag }", {
    where: "flags",
    hint: 'for example [{ key: "adapter.rank", value: 8, flag: "rank" }]',
  });
}

function collectLayers(sources: ConfigSources, problems: ProblemList): { layers: Layer[]; displaced: Record<string, unknown> } {
  const folder = sources.folder ?? ".";
  const layers: Layer[] = [];
  const add = (make: () => Layer): void => {
    try {
      layers.push(make());
    } catch (error) {
      problems.absorb(error);
    }
  };
  const { flags = [], file, preset, inherited } = sources;
  requireFlagList(flags);
  if (flags.length > 0) add(() => flagLayer(flags, folder));
  if (file !== undefined) add(() => fileLayer(file, "file", folderOf(file.path)));
  const displaced: Record<string, unknown> = {};
  if (preset !== undefined) {
    add(() => {
      const layer = fileLayer(preset, "preset", folder);
      const parted = withoutDisplaced(layer.values, inherited?.values ?? {}, inherited?.own ?? []);
      Object.assign(displaced, parted.displaced);
      return { ...layer, values: parted.kept };
    });
  }
  if (inherited !== undefined) add(() => ({ source: "inherited", values: inherited.values, locate: () => inherited.name }));
  return { layers, displaced };
}

/** Fills in what is no plain default: run folders are made under `folder`, and a missing `data` is reported by its keys. */
function withRequiredTables(merged: Readonly<Record<string, unknown>>, folder: string): Record<string, unknown> {
  return { ...merged, output: merged["output"] ?? joinPath(folder, "runs"), data: merged["data"] ?? {} };
}

/**
 * Resolves a configuration: flags over file over preset over inherited values over defaults.
 * @throws CONFIG_SYNTAX, CONFIG_UNKNOWN_KEY, CONFIG_INVALID, ADAPTER_RANK_INVALID: all problems at once, each with its place
 */
export function resolveConfig(sources: ConfigSources): ResolvedConfig {
  const problems = new ProblemList();
  const { layers, displaced } = collectLayers(sources, problems);
  problems.throwIfAny();
  const merged = withRequiredTables(mergeLayers(layers), sources.folder ?? ".");
  const parsed = runSchema.safeParse(merged);
  if (!parsed.success) {
    const [first, ...rest] = problemsOf(parsed.error.issues, merged, layers);
    throw first === undefined
      ? new InternalError("the schema refused a configuration without saying why")
      : HeirloomError.of([first, ...rest]);
  }
  const config = parsed.data;
  checkRules(config, layers, problems);
  problems.throwIfAny();
  const { training } = config;
  const complete = training.steps === null && training.epochs === null ? { ...config, training: { ...training, epochs: 1 } } : config;
  return { config: complete, provenance: provenanceOf(complete, layers), displaced };
}

/** Parses the value of `--set key=value` as YAML does: `1e-5` is a number, `[a, b]` a list. */
export function parseSetFlag(text: string): FlagValue {
  const at = text.indexOf("=");
  if (at <= 0)
    throw new HeirloomError("USAGE", `expected --set key=value, found "${text}"`, { hint: "for example --set training.learningRate=1e-4" });
  const key = text.slice(0, at);
  return { key, value: parseValue(text.slice(at + 1), `--set ${key}`), flag: `--set ${key}` };
}

/** Reads one YAML value from a flag. */
export function parseValue(text: string, flag: string): unknown {
  return parseConfigFile(`value: ${text}`, flag).values["value"];
}

/** A learning-rate group with its rates worked out. */
export interface LearningRateGroup {
  readonly name: string;
  readonly match: readonly string[];
  readonly learningRate: number;
  readonly weightDecay: number;
}

/** The groups of a configuration with absolute peak rates; tensors that match none have the training's own. */
export function learningRateGroups(training: TrainingConfig): LearningRateGroup[] {
  return training.groups.map(({ name, match, learningRate, learningRateRatio, weightDecay }) => ({
    name,
    match,
    learningRate: learningRate ?? training.learningRate * (learningRateRatio ?? 1),
    weightDecay: weightDecay ?? training.weightDecay,
  }));
}

/** A resolved configuration in the form of run.yaml, where `none` stands for an absent part. */
export function asRunFile(config: RunConfig): Readonly<Record<string, unknown>> {
  return { ...config, adapter: config.adapter ?? "none", quantization: config.quantization ?? "none" };
}
