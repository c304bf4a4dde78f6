// Which settings LoraConfig had in which release of PEFT: written by tools/python/peft_config_keys.py from the releases' own source.

interface KeyHistory {
  /** First release that knew it. */
  readonly since: string;
  /** First release that did not any more. */
  readonly goneIn?: string;
}

/** The newest release that was looked at. */
export const NEWEST_PEFT_RELEASE = "0.21.2";

const KEYS: Readonly<Record<string, KeyHistory>> = {
  alora_invocation_tokens: { since: "0.18.0" },
  alpha_pattern: { since: "0.6.0" },
  arrow_config: { since: "0.18.0" },
  auto_mapping: { since: "0.4.0" },
  base_model_name_or_path: { since: "0.1.0" },
  bias: { since: "0.0.1" },
  corda_config: { since: "0.15.0" },
  enable_lora: { since: "0.0.1", goneIn: "0.3.0" },
  ensure_weight_tying: { since: "0.18.0" },
  eva_config: { since: "0.14.0" },
  exclude_modules: { since: "0.14.0" },
  fan_in_fan_out: { since: "0.0.1" },
  inference_mode: { since: "0.0.1" },
  init_lora_weights: { since: "0.3.0" },
  kasa_config: { since: "0.21.0" },
  layer_replication: { since: "0.10.0" },
  layers_pattern: { since: "0.4.0" },
  layers_to_transform: { since: "0.4.0" },
  loftq_config: { since: "0.7.0" },
  lora_alpha: { since: "0.0.1" },
  lora_bias: { since: "0.14.0" },
  lora_dropout: { since: "0.0.1" },
  lora_ga_config: { since: "0.19.0" },
  megatron_config: { since: "0.7.0" },
  megatron_core: { since: "0.7.0" },
  merge_weights: { since: "0.0.1", goneIn: "0.3.0" },
  modules_to_save: { since: "0.1.0" },
  monteclora_config: { since: "0.20.0" },
  peft_type: { since: "0.0.1" },
  peft_version: { since: "0.18.0" },
  qalora_group_size: { since: "0.16.0" },
  r: { since: "0.0.1" },
  rank_pattern: { since: "0.6.0" },
  revision: { since: "0.4.0" },
  runtime_config: { since: "0.12.0" },
  target_modules: { since: "0.0.1" },
  target_parameters: { since: "0.17.0" },
  task_type: { since: "0.0.1" },
  trainable_token_indices: { since: "0.15.0" },
  use_bdlora: { since: "0.19.0" },
  use_dora: { since: "0.9.0" },
  use_qalora: { since: "0.16.0" },
  use_rslora: { since: "0.8.0" },
  velora_config: { since: "0.20.0" },
};

type Release = readonly [major: number, minor: number, patch: number];

/** Reads `0.12.0`, `0.12` or `0.12.1.dev0`; null for anything else. */
function releaseOf(text: string): Release | null {
  const found = /^(\d+)\.(\d+)(?:\.(\d+))?/.exec(text);
  return found === null ? null : [Number(found[1]), Number(found[2]), Number(found[3] ?? 0)];
}

function isBefore(a: Release, b: Release): boolean {
  const at = a.findIndex((part, i) => part !== b[i]);
  return at >= 0 && (a[at] ?? 0) < (b[at] ?? 0);
}

/** What a release of PEFT does with a setting that it does not know. */
export type UnknownKeyPolicy = "ignores" | "refuses" | "warns";

/** What is known about a release of PEFT. */
export interface PeftRelease {
  readonly version: string;
  /** 0.5 and before drop such settings without a word, 0.6 to 0.13 refuse the file, later ones warn and drop them. */
  readonly unknownKeys: UnknownKeyPolicy;
  knows(key: string): boolean;
}

/** Facts about a release by its version; null if the text is none. */
export function peftRelease(version: string): PeftRelease | null {
  const release = releaseOf(version);
  if (release === null) return null;
  return {
    version,
    unknownKeys: isBefore(release, [0, 6, 0]) ? "ignores" : isBefore(release, [0, 14, 0]) ? "refuses" : "warns",
    knows(key) {
      const history = Object.hasOwn(KEYS, key) ? KEYS[key] : undefined;
      const [since, goneIn] = [releaseOf(history?.since ?? ""), releaseOf(history?.goneIn ?? "")];
      return since !== null && !isBefore(release, since) && (goneIn === null || isBefore(release, goneIn));
    },
  };
}

/** Whether the release is later than the newest that was looked at, so that it may know more. */
export function isLaterThanKnown(version: string): boolean {
  const release = releaseOf(version);
  return release !== null && isBefore(releaseOf(NEWEST_PEFT_RELEASE) as Release, release);
}
