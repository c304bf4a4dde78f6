import { PEFT_PREFIX } from "../../adapter/index.ts";

/** What a tensor of an adapter file is, by the end of its name. */
export type KeyPart = "A" | "B" | "magnitude" | "lora_bias" | "tokens" | "base_layer" | "plain";

/** A key of an adapter file, taken apart. */
export interface AdapterKey {
  readonly key: string;
  /** Path of the module in the base model; wrappers that should not be there are left out of it. */
  readonly module: string;
  readonly part: KeyPart;
  readonly leaf: string;
  /** The key as PEFT would have stored it. */
  readonly proper: string;
  /** True if the module is an embedding by the form of its LoRA tensors. */
  readonly isEmbeddingForm: boolean;
  /** How often PEFT's prefix stands at the start. */
  readonly wraps: number;
  /** Prefixes of other wrappers, such as torch.compile's. */
  readonly strayPrefixes: readonly string[];
  /** The adapter's name, where it was left in. */
  readonly adapterName: string | null;
}

/** Wrappers that training scripts forget to take off: DistributedDataParallel, torch.compile, FSDP. */
const STRAY = ["module.", "_orig_mod.", "_fsdp_wrapped_module."] as const;
const LORA = /^(.*?)\.(lora_A|lora_B|lora_embedding_A|lora_embedding_B|lora_magnitude_vector)(?:\.(.+))?$/;
const TOKENS = /^(.*?)\.token_adapter\.(?:trainable_tokens_delta)(?:\..+)?$/;
const SAVED = /^(.*?)\.modules_to_save\.(?:([^.]+)\.)?([^.]+)$/;
const BASE_LAYER = /^(.*?)\.base_layer\.(.+)$/;

function unwrap(key: string): { rest: string; wraps: number; strayPrefixes: string[] } {
  let rest = key;
  let wraps = 0;
  const strayPrefixes: string[] = [];
  for (;;) {
    const stray = STRAY.find((prefix) => rest.startsWith(prefix));
    if (stray !== undefined) strayPrefixes.push(stray);
    else if (rest.startsWith(PEFT_PREFIX)) wraps++;
    else return { rest, wraps, strayPrefixes };
    rest = rest.slice((stray ?? PEFT_PREFIX).length);
  }
}

/** `default.weight` → the adapter's name and the leaf; PEFT stores the leaf alone, and no leaf for some. */
function tail(kind: string, rest: string | undefined): { leaf: string; adapterName: string | null } {
  const parts = rest === undefined ? [] : rest.split(".");
  const last = parts.at(-1);
  const leaf = last === "weight" || last === "bias" ? last : "";
  const name = (leaf === "" ? parts : parts.slice(0, -1)).join(".");
  const stored = kind === "lora_A" || kind === "lora_B" ? leaf || "weight" : "";
  return { leaf: stored, adapterName: name === "" ? null : name };
}

function loraPart(kind: string, leaf: string): KeyPart {
  if (kind === "lora_magnitude_vector") return "magnitude";
  if (kind.endsWith("_A")) return "A";
  return leaf === "bias" ? "lora_bias" : "B";
}

/** Reads a key of an adapter file. */
export function readKey(key: string): AdapterKey {
  const { rest, wraps, strayPrefixes } = unwrap(key);
  const shared = { key, wraps, strayPrefixes };
  const of = (module: string, part: KeyPart, end: string, leaf: string, adapterName: string | null): AdapterKey => ({
    ...shared,
    module,
    part,
    leaf,
    proper: `${PEFT_PREFIX}${module}.${end}`,
    isEmbeddingForm: end.startsWith("lora_embedding_"),
    adapterName,
  });
  const lora = LORA.exec(rest);
  if (lora !== null) {
    const [, module = "", kind = "", after] = lora;
    const { leaf, adapterName } = tail(kind, after);
    return of(module, loraPart(kind, leaf), leaf === "" ? kind : `${kind}.${leaf}`, leaf, adapterName);
  }
  const tokens = TOKENS.exec(rest);
  if (tokens !== null) return of(tokens[1] ?? "", "tokens", "token_adapter.trainable_tokens_delta", "", null);
  const saved = SAVED.exec(rest);
  if (saved !== null) return of(saved[1] ?? "", "plain", saved[3] ?? "", saved[3] ?? "", saved[2] ?? "");
  const base = BASE_LAYER.exec(rest);
  if (base !== null) return of(base[1] ?? "", "base_layer", `base_layer.${base[2] ?? ""}`, base[2] ?? "", null);
  const end = rest.lastIndexOf(".");
  const leaf = rest.slice(end + 1);
  return of(end < 0 ? "" : rest.slice(0, end), "plain", leaf, leaf, null);
}

/** True for a pair's matrix, a magnitude or a bias of LoRA. */
export function isLoraPart({ part }: AdapterKey): boolean {
  return part === "A" || part === "B" || part === "magnitude" || part === "lora_bias";
}

/** `model.layers.0.mlp.up_proj` → `up_proj`. */
export function lastPart(path: string): string {
  return path.slice(path.lastIndexOf(".") + 1);
}

/** Last parts of paths that are input or output embeddings, in the architectures that transformers has. */
const EMBEDDINGS: ReadonlySet<string> = new Set([
  "embed_tokens",
  "lm_head",
  "wte",
  "word_embeddings",
  "embed_in",
  "embed_out",
  "tok_embeddings",
  "output_layer",
]);

/** True if a module's name is that of an input or output embedding. */
export function isEmbedding(module: string): boolean {
  return EMBEDDINGS.has(lastPart(module));
}

/** True for an output embedding. */
export function isHead(module: string): boolean {
  return ["lm_head", "embed_out", "output_layer"].includes(lastPart(module));
}
