import { formatBytes, formatCount } from "../../core/index.ts";
import type { CopyHypothesis, FileSize, Hypothesis, TrainedCounts } from "./hypothesis.ts";

/** `a, b and c` */
export function listed(names: readonly (string | number)[]): string {
  if (names.length < 2) return names.join("");
  return `${names.slice(0, -1).join(", ")} and ${names.at(-1) ?? ""}`;
}

/** `1 solution`, `2 solutions` */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${formatCount(count)} ${count === 1 ? one : many}`;
}

/** `1,218,445,312 of 9,248,706,560 (13.1742 %)` */
export function countsInWords({ trainable, all, percent }: TrainedCounts): string {
  return `${formatCount(trainable)} of ${formatCount(all)} (${percent.toFixed(4)} %)`;
}

/** `2.58 GiB (fp32 LoRA, bf16 copies)` */
export function fileInWords(file: FileSize | undefined): string {
  if (file === undefined) return "of unknown size";
  const name = { F32: "fp32", BF16: "bf16", F16: "fp16" };
  const copies = file.copies === null ? "" : `, ${name[file.copies]} copies`;
  return `${formatBytes(file.bytes)} (${name[file.lora]} LoRA${copies})`;
}

/** What the full copies are: `both full copies in the model and frozen`. */
export function copiesInWords(copies: readonly CopyHypothesis[]): string {
  const present = copies.filter(({ state }) => state !== "absent");
  if (present.length === 0) return "no full copies";
  const shared = present.some((copy) => copy.shared) ? ", one tensor for both" : "";
  const words = (state: string) => (state === "frozen" ? "in the model and frozen" : "trained");
  const [first] = present;
  if (present.length === 2 && present.every(({ state }) => state === first?.state)) {
    return `full copies of embed_tokens and lm_head ${words(first?.state ?? "")}${shared}`;
  }
  return present.map(({ module, state }) => `a full copy of ${module} ${words(state)}`).join(" and ");
}

/** The modules with LoRA, in words where they are all of them. */
function targetsInWords(targets: readonly string[], linears: readonly string[]): string {
  const inLayers = targets.filter((name) => linears.includes(name));
  if (inLayers.length !== linears.length) return targets.join(", ");
  const more = targets.filter((name) => !linears.includes(name));
  return [`all ${linears.length} linear modules`, ...more].join(", ");
}

/** `all 32 layers`, `16 of 32 layers (first, last or any: no count tells)` */
function layersInWords(layers: Hypothesis["layers"]): string {
  if (layers === null) return "layers unknown";
  if (layers.count === 0) return "no layer";
  if (layers.count === layers.of) return `all ${layers.of} layers`;
  return `${layers.count} of ${layers.of} layers (first, last or others: no count tells)`;
}

/** One hypothesis in a phrase. */
export function hypothesisInWords(hypothesis: Hypothesis, linears: readonly string[]): string {
  const { method, rank, targets, layers, loraState, fullCopies, bias, counting } = hypothesis;
  const packed = counting === "packed" ? ", 4-bit weights counted by their bytes" : "";
  if (method === "full") return `the base itself, trained in full${packed}`;
  if (method === "none") return `no adapter, nothing trained${packed}`;
  const frozen = loraState === "frozen" ? ", LoRA frozen" : "";
  const what =
    rank === null
      ? "LoRA of a rank that the numbers do not tell"
      : `${method === "dora" ? "DoRA " : ""}rank ${rank} on ${targetsInWords(targets, linears)} of ${layersInWords(layers)}`;
  const biases = bias === "none" ? "" : `, bias: ${bias}`;
  return `${what}${frozen}, ${copiesInWords(fullCopies)}${biases}${packed}`;
}
