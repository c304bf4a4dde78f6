import type { ChangedTensor, DiffGroup, DtypeDifference, ShapeMismatch } from "./types.ts";

/** What {@link diffVerdict} speaks of. */
export interface VerdictFacts {
  readonly groups: readonly DiffGroup[];
  readonly common: number;
  readonly onlyInA: number;
  readonly onlyInB: number;
  readonly shapeMismatch: readonly ShapeMismatch[];
  readonly dtypes: readonly DtypeDifference[];
}

/** Below this share, a bf16 or fp16 tensor has most likely lost updates to rounding: an update that is felt changes nearly all elements. */
const SMALL_SHARE = 0.5;

/** The group that a tensor's name puts it into. */
export function groupOf(name: string): string {
  const lora = /\.lora_(?:embedding_)?([AB])(?:\.|$)/.exec(name)?.[1];
  if (lora !== undefined) return `lora_${lora}`;
  const module = /(?:^|\.)(embed_tokens|word_embeddings|wte|lm_head|score|classifier)\.(?:[^.]+\.)*(?:weight|bias)$/.exec(name)?.[1];
  if (module !== undefined) return module;
  if (/norm(?:\.[^.]+)*\.weight$|layernorm/.test(name)) return "norm";
  return name.endsWith(".bias") ? "bias" : "other";
}

const joinNames = (names: readonly string[]): string =>
  names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1) ?? ""}`;

const isOne = ({ same, changed }: DiffGroup): boolean => same + changed === 1;

/** `embed_tokens` alone, or `norm tensors`. */
function subject(group: DiffGroup): string {
  return isOne(group) ? group.name : `${group.name} tensors`;
}

function movedText(group: DiffGroup): string {
  const { changed, same } = group;
  if (isOne(group)) return `${group.name} moved`;
  return same === 0 ? `all ${subject(group)} moved` : `${changed} of ${changed + same} ${subject(group)} moved`;
}

/** lora_A and lora_B as one where the same can be said of both. */
function withLora(groups: readonly DiffGroup[]): readonly DiffGroup[] {
  const lora = groups.filter(({ name }) => name.startsWith("lora_"));
  const alike = lora.length === 2 && (lora.every(({ same }) => same === 0) || lora.every(({ changed }) => changed === 0));
  if (!alike) return groups;
  const sum = (field: "same" | "changed"): number => lora.reduce((total, group) => total + group[field], 0);
  const both: DiffGroup = { name: "LoRA", same: sum("same"), changed: sum("changed"), maxAbs: null, maxRel: null, changedShare: null };
  return [both, ...groups.filter((group) => !lora.includes(group))];
}

/** One sentence: what moved, what stayed, what is not on both sides. */
export function diffVerdict({ groups, common, onlyInA, onlyInB, shapeMismatch, dtypes }: VerdictFacts): string {
  const rest = [
    ...(onlyInA > 0 ? [`${onlyInA} tensors only in A`] : []),
    ...(onlyInB > 0 ? [`${onlyInB} tensors only in B`] : []),
    ...(shapeMismatch.length > 0 ? [`${shapeMismatch.length} tensors of another shape`] : []),
  ];
  if (common === 0 && shapeMismatch.length === 0) return `A and B have no tensor name in common: ${joinNames(rest)}`;
  const spoken = withLora(groups);
  const moved = spoken.filter(({ changed }) => changed > 0);
  const still = spoken.filter(({ changed }) => changed === 0);
  const same = dtypes.length > 0 ? "equal in value" : "bit-identical";
  if (moved.length === 0) {
    const cast = dtypes.length > 0 ? ` (${dtypes.length} in another dtype)` : "";
    return [...(common > 0 ? [`all ${common} tensors${rest.length > 0 ? " that both have" : ""} are ${same}${cast}`] : []), ...rest].join(
      "; ",
    );
  }
  const stayed =
    still.length === 0
      ? []
      : [`${joinNames(still.map(subject))} ${still.length === 1 && still.every(isOne) ? "is" : "are"} ${same}: frozen between A and B`];
  return [joinNames(moved.map(movedText)), ...stayed, ...rest].join("; ");
}

/** What else a reader should know. */
export function diffNotes(changed: readonly ChangedTensor[]): string[] {
  const rounded = changed.filter(
    ({ dtypeA, dtypeB, changedShare }) => dtypeA === dtypeB && (dtypeA === "BF16" || dtypeA === "F16") && changedShare < SMALL_SHARE,
  );
  const notFinite = changed.filter((tensor) => tensor.notFinite > 0);
  const first = rounded[0];
  return [
    ...(first === undefined
      ? []
      : [
          `in ${rounded.length} tensors of 16 bits most elements did not move (${first.name}: ${(100 * first.changedShare).toFixed(1)} % did): updates smaller than a rounding step are lost there`,
        ]),
    ...(notFinite.length === 0
      ? []
      : [`${notFinite.length} tensors have NaN or infinities, the first of them ${notFinite[0]?.name ?? ""}`]),
  ];
}
