import { HeirloomError, ProblemList } from "../core/index.ts";
import { BASE_FIELDS, LORA_FIELDS, type PeftField } from "./peft-fields.ts";
import { describeValue, printable } from "./printable.ts";
import { pythonJson } from "./python-json.ts";

/** What every `adapter_config.json` of PEFT says. */
interface PeftConfigBase {
  readonly peftType: string;
  readonly taskType: string | null;
  readonly autoMapping: Readonly<Record<string, unknown>> | null;
  readonly peftVersion: string | null;
  readonly baseModelNameOrPath: string | null;
  readonly revision: string | null;
  /** PEFT writes true on every save; it says nothing about training. */
  readonly inferenceMode: boolean;
  /** Keys of the file that PEFT 0.21 does not know for this type, sorted. */
  readonly unknownKeys: readonly string[];
  /** The file as it was. */
  readonly raw: Readonly<Record<string, unknown>>;
}

/** A LoRA configuration; absent keys have PEFT's defaults. Field names are PEFT's in camel case. */
export interface LoraPeftConfig extends PeftConfigBase {
  readonly kind: "lora";
  readonly r: number;
  readonly targetModules: string | readonly string[] | null;
  readonly excludeModules: string | readonly string[] | null;
  readonly loraAlpha: number;
  readonly loraDropout: number;
  readonly fanInFanOut: boolean;
  readonly bias: "none" | "all" | "lora_only";
  readonly useRslora: boolean;
  readonly modulesToSave: readonly string[] | null;
  readonly initLoraWeights: boolean | string | null;
  readonly layersToTransform: number | readonly number[] | null;
  readonly layersPattern: string | readonly string[] | null;
  readonly rankPattern: Readonly<Record<string, number>> | null;
  readonly alphaPattern: Readonly<Record<string, number>> | null;
  readonly megatronConfig: Readonly<Record<string, unknown>> | null;
  readonly megatronCore: string | null;
  readonly trainableTokenIndices: readonly number[] | Readonly<Record<string, readonly number[]>> | null;
  readonly loftqConfig: Readonly<Record<string, unknown>> | null;
  readonly evaConfig: Readonly<Record<string, unknown>> | null;
  readonly cordaConfig: Readonly<Record<string, unknown>> | null;
  readonly loraGaConfig: Readonly<Record<string, unknown>> | null;
  readonly useDora: boolean;
  readonly veloraConfig: Readonly<Record<string, unknown>> | null;
  readonly aloraInvocationTokens: readonly number[] | null;
  readonly useQalora: boolean;
  readonly qaloraGroupSize: number;
  readonly montecloraConfig: Readonly<Record<string, unknown>> | null;
  readonly layerReplication: readonly (readonly [number, number])[] | null;
  readonly loraBias: boolean;
  readonly targetParameters: readonly string[] | null;
  readonly useBdlora: unknown;
  readonly arrowConfig: Readonly<Record<string, unknown>> | null;
  readonly kasaConfig: Readonly<Record<string, unknown>> | null;
  readonly ensureWeightTying: boolean;
}

/** A PEFT configuration of another type (IA3, prompt tuning, VeRA …): named, its own keys only in `raw`. */
export interface OtherPeftConfig extends PeftConfigBase {
  readonly kind: "other";
}

/** An adapter_config.json: LoRA in full, another PEFT type by name only. */
export type PeftConfig = LoraPeftConfig | OtherPeftConfig;

/** Another tool's file of the same name, told by keys that PEFT never writes. */
const FOREIGN: readonly { readonly found: string; readonly keys: readonly string[]; readonly hint: string }[] = [
  {
    found: "an mlx-lm adapter configuration",
    keys: ["lora_parameters", "fine_tune_type", "lora_layers", "adapter_path"],
    hint: "mlx-lm keeps adapters in a form of its own: convert it first (heirloom convert FOLDER --to peft -o DIR), or look at its weights by themselves (heirloom inspect adapters.safetensors)",
  },
  {
    found: "an AdapterHub adapter configuration",
    keys: ["model_class", "hidden_size", "config_id"],
    hint: "PEFT does not read AdapterHub's form: merge the adapter into its model there",
  },
];

function refuseForeign(json: Readonly<Record<string, unknown>>, where: string): void {
  if (Object.hasOwn(json, "peft_type")) return;
  const tool = FOREIGN.find(({ keys }) => keys.some((key) => Object.hasOwn(json, key)));
  throw new HeirloomError(
    "PEFT_CONFIG_INVALID",
    `expected the key "peft_type", found ${
      tool?.found ??
      `only ${
        Object.keys(json)
          .slice(0, 8)
          .map((key) => printable(key, 40))
          .join(", ") || "an empty object"
      }`
    }`,
    {
      where,
      hint: tool?.hint ?? 'a PEFT adapter says "peft_type": "LORA"',
    },
  );
}

function readFields(
  json: Readonly<Record<string, unknown>>,
  fields: readonly PeftField[],
  where: string,
  problems: ProblemList,
): Record<string, unknown> {
  const values: Record<string, unknown> = {};
  for (const { key, name, kind, fallback } of fields) {
    const value = Object.hasOwn(json, key) ? json[key] : fallback;
    if (!kind.accepts(value))
      problems.add("PEFT_CONFIG_INVALID", `${key}: expected ${kind.expected}, found ${describeValue(value)}`, { where });
    values[name] = value;
  }
  return values;
}

/**
 * Reads an `adapter_config.json`. All wrong types are reported at once. Types
 * other than LoRA are read as far as every PEFT type goes; who cannot use them
 * says so. Unknown keys are kept (files of a newer PEFT have them).
 *
 * @param json the parsed file
 * @param where the file, for messages
 * @throws HeirloomError `PEFT_CONFIG_INVALID`
 */
export function parsePeftConfig(json: unknown, where: string): PeftConfig {
  const place = printable(where);
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    throw new HeirloomError("PEFT_CONFIG_INVALID", `expected an object, found ${describeValue(json)}`, { where: place });
  }
  const raw = json as Readonly<Record<string, unknown>>;
  refuseForeign(raw, place);
  const isLora = raw["peft_type"] === "LORA";
  const fields = isLora ? [...BASE_FIELDS, ...LORA_FIELDS] : BASE_FIELDS;
  const problems = new ProblemList();
  const values = readFields(raw, fields, place, problems);
  problems.throwIfAny();
  const known = new Set(fields.map((field) => field.key));
  const unknownKeys = isLora
    ? Object.keys(raw)
        .filter((key) => !known.has(key))
        .sort()
    : [];
  // The tables give exactly the fields of the interface; the test compares both.
  return { kind: isLora ? "lora" : "other", ...values, unknownKeys, raw } as unknown as PeftConfig;
}

/** PEFT's defaults for everything that is not given, as `LoraConfig(...)` of PEFT 0.21. */
export function loraPeftConfig(values: Partial<Omit<LoraPeftConfig, "kind" | "peftType" | "raw" | "unknownKeys">>): LoraPeftConfig {
  const defaults = Object.fromEntries([...BASE_FIELDS, ...LORA_FIELDS].map(({ name, fallback }) => [name, fallback]));
  return { kind: "lora", ...defaults, ...values, unknownKeys: [], raw: {} } as unknown as LoraPeftConfig;
}

/**
 * Writes an `adapter_config.json` as PEFT 0.21 does: all its keys, sorted,
 * indented by 2, ASCII, no newline at the end; unknown keys of the file that was
 * read are kept.
 */
export function serializePeftConfig(config: LoraPeftConfig): string {
  const values = config as unknown as Readonly<Record<string, unknown>>;
  const json: Record<string, unknown> = {};
  for (const key of config.unknownKeys) json[key] = config.raw[key];
  const floats = new Set<string>();
  for (const field of [...BASE_FIELDS, ...LORA_FIELDS]) {
    json[field.key] = values[field.name];
    if (field.float) floats.add(field.key);
  }
  return pythonJson(json, floats);
}
