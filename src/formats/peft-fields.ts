/** `lora_alpha` as PEFT allows it, with what one says when it is something else. */
interface FieldKind {
  readonly expected: string;
  readonly accepts: (value: unknown) => boolean;
}

const isText = (value: unknown): boolean => typeof value === "string";
const isWhole = (value: unknown): boolean => Number.isSafeInteger(value);
const isObject = (value: unknown): boolean => typeof value === "object" && value !== null && !Array.isArray(value);
const listOf = (accepts: (value: unknown) => boolean) => (value: unknown) => Array.isArray(value) && value.every(accepts);
const orNull = (kind: FieldKind): FieldKind => ({
  expected: `${kind.expected} or null`,
  accepts: (value) => value === null || kind.accepts(value),
});

const text: FieldKind = { expected: "a text", accepts: isText };
const flag: FieldKind = { expected: "true or false", accepts: (value) => typeof value === "boolean" };
const whole: FieldKind = { expected: "a whole number", accepts: isWhole };
const number: FieldKind = { expected: "a number", accepts: (value) => typeof value === "number" && Number.isFinite(value) };
const object: FieldKind = { expected: "an object", accepts: isObject };
const anything: FieldKind = { expected: "any value", accepts: () => true };
const texts: FieldKind = { expected: "a list of texts", accepts: listOf(isText) };
const wholes: FieldKind = { expected: "a list of whole numbers", accepts: listOf(isWhole) };
const textOrTexts: FieldKind = { expected: "a text or a list of texts", accepts: (value) => isText(value) || texts.accepts(value) };
const wholeOrWholes: FieldKind = {
  expected: "a whole number or a list of them",
  accepts: (value) => isWhole(value) || wholes.accepts(value),
};
const pattern: FieldKind = {
  expected: "an object of numbers",
  accepts: (value) => isObject(value) && Object.values(value as object).every(number.accepts),
};
const bias: FieldKind = {
  expected: '"none", "all" or "lora_only"',
  accepts: (value) => value === "none" || value === "all" || value === "lora_only",
};
const init: FieldKind = {
  expected: "true, false, null or a text",
  accepts: (value) => value === null || typeof value === "boolean" || isText(value),
};
const tokens: FieldKind = {
  expected: "a list of whole numbers or an object of such lists",
  accepts: (value) => wholes.accepts(value) || (isObject(value) && Object.values(value as object).every(wholes.accepts)),
};
const ranges: FieldKind = {
  expected: "a list of pairs of whole numbers",
  accepts: listOf((pair) => wholes.accepts(pair) && (pair as unknown[]).length === 2),
};

export interface PeftField {
  /** As on disk. */
  readonly key: string;
  /** As in {@link LoraPeftConfig}. */
  readonly name: string;
  readonly kind: FieldKind;
  /** What PEFT takes when the key is absent. */
  readonly fallback: unknown;
  /** Whether Python holds a float here, which it writes with a decimal point. */
  readonly float?: true;
}

const camel = (key: string): string => key.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
const field = (key: string, kind: FieldKind, fallback: unknown, extra: { readonly float?: true } = {}): PeftField => ({
  key,
  name: camel(key),
  kind,
  fallback,
  ...extra,
});

/** Keys of every PEFT type (`PeftConfigMixin`, `PeftConfig`; PEFT 0.21). */
export const BASE_FIELDS: readonly PeftField[] = [
  field("peft_type", text, "LORA"),
  field("task_type", orNull(text), null),
  field("auto_mapping", orNull(object), null),
  field("peft_version", orNull(text), null),
  field("base_model_name_or_path", orNull(text), null),
  field("revision", orNull(text), null),
  field("inference_mode", flag, false),
];

/** Keys of `LoraConfig` with its defaults (PEFT 0.21, src/peft/tuners/lora/config.py); `runtime_config` is never written. */
export const LORA_FIELDS: readonly PeftField[] = [
  field("r", whole, 8),
  field("target_modules", orNull(textOrTexts), null),
  field("exclude_modules", orNull(textOrTexts), null),
  field("lora_alpha", number, 8),
  field("lora_dropout", number, 0, { float: true }),
  field("fan_in_fan_out", flag, false),
  field("bias", bias, "none"),
  field("use_rslora", flag, false),
  field("modules_to_save", orNull(texts), null),
  field("init_lora_weights", init, true),
  field("layers_to_transform", orNull(wholeOrWholes), null),
  field("layers_pattern", orNull(textOrTexts), null),
  field("rank_pattern", orNull(pattern), {}),
  field("alpha_pattern", orNull(pattern), {}),
  field("megatron_config", orNull(object), null),
  field("megatron_core", orNull(text), "megatron.core"),
  field("trainable_token_indices", orNull(tokens), null),
  field("loftq_config", orNull(object), {}),
  field("eva_config", orNull(object), null),
  field("corda_config", orNull(object), null),
  field("lora_ga_config", orNull(object), null),
  field("use_dora", flag, false),
  field("velora_config", orNull(object), null),
  field("alora_invocation_tokens", orNull(wholes), null),
  field("use_qalora", flag, false),
  field("qalora_group_size", whole, 16),
  field("monteclora_config", orNull(object), null),
  field("layer_replication", orNull(ranges), null),
  field("lora_bias", flag, false),
  field("target_parameters", orNull(texts), null),
  // A flag in some releases, an object or null in others.
  field("use_bdlora", anything, null),
  field("arrow_config", orNull(object), null),
  field("kasa_config", orNull(object), null),
  field("ensure_weight_tying", flag, false),
];

const FALLBACKS: ReadonlyMap<string, unknown> = new Map([...BASE_FIELDS, ...LORA_FIELDS].map(({ key, fallback }) => [key, fallback]));

/** Whether a setting of adapter_config.json asks for something: it is neither empty, nor off, nor what PEFT takes anyway. */
export function isPeftSettingOn(key: string, value: unknown): boolean {
  if (value === null || value === false || value === "" || value === FALLBACKS.get(key)) return false;
  return typeof value !== "object" || Object.keys(value).length > 0;
}
