import { printable } from "../../formats/index.ts";
import { type AdapterKey, isEmbedding, type KeyPart, lastPart, readKey } from "./keys.ts";

/** Enough names to see which ones are meant; all of them are in the finding's `tensors`. */
const MAX_NAMED = 3;

/** `1 tensor`, `2 tensors` */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

/** `a, b and c`, or `a, b, c and 12 more`; printable. */
export function listed(names: Iterable<string>): string {
  const all = [...new Set(names)].map((name) => printable(name));
  const shown = all.slice(0, MAX_NAMED);
  const rest = all.length - shown.length;
  if (rest > 0) return `${shown.join(", ")} and ${rest} more`;
  const last = shown.pop() ?? "";
  return shown.length === 0 ? last : `${shown.join(", ")} and ${last}`;
}

/** Beyond this many modules their number says more than their names. */
const MAX_MODULES = 4;
const KINDS: readonly (readonly [part: KeyPart, one: string, many: string])[] = [
  ["magnitude", "DoRA magnitude", "DoRA magnitudes"],
  ["tokens", "tensor of trainable token rows", "tensors of trainable token rows"],
  ["base_layer", "tensor of wrapped base modules", "tensors of wrapped base modules"],
];

function modulesText(modules: ReadonlySet<string>): string[] {
  const names = [...modules].map((module) => printable(isEmbedding(module) ? lastPart(module) : module));
  return names.length > MAX_MODULES ? [`${names.length} modules (${names[0] ?? ""} …)`] : names;
}

/** Tensors as people speak of them: `embed_tokens and lm_head`, `448 LoRA tensors`. */
export function tensorsText(names: readonly string[]): string {
  const keys = names.map(readKey);
  const of = (part: KeyPart) => keys.filter((key) => key.part === part);
  const isBias = ({ leaf, module }: AdapterKey): boolean => leaf === "bias" && module !== "";
  const biases = of("plain").filter(isBias);
  const parts = modulesText(
    new Set(
      of("plain")
        .filter((key) => !isBias(key))
        .map(({ module, key }) => module || key),
    ),
  );
  if (biases.length > 2) parts.push(`${biases.length} biases (${printable(biases[0]?.module ?? "")} …)`);
  else parts.push(...biases.map(({ key }) => printable(key)));
  const lora = [...of("A"), ...of("B"), ...of("lora_bias")];
  if (lora.length > 2) parts.push(`${lora.length} LoRA tensors`);
  else parts.push(...lora.map(({ key }) => printable(key)));
  for (const [part, one, many] of KINDS) if (of(part).length > 0) parts.push(counted(of(part).length, one, many));
  const last = parts.pop() ?? "no tensor";
  return parts.length === 0 ? last : `${parts.join(", ")} and ${last}`;
}

/** `is` or `are`, for what {@link tensorsText} says. */
export function areText(keys: readonly string[]): string {
  return keys.length === 1 ? "is" : "are";
}

/** `[2, 3]` */
export function shapeText(shape: readonly number[] | null): string {
  return shape === null ? "[?]" : `[${shape.join(", ")}]`;
}
