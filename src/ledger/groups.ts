import { HeirloomError, nearestName, type Problem } from "../core/index.ts";
import { diskKey, liveNameFacts } from "./names.ts";
import type { GroupRule } from "./types.ts";

/** The group of tensors that no rule matches. */
export const DEFAULT_GROUP = "default";

/**
 * True if `pattern` means the tensor called `liveName`. A pattern covers whole dotted
 * parts, anywhere in the live name or in the key on disk; `*` stands for any text, dots
 * included. So `lm_head` is the head's full copy, `layers.0` all of layer 0 (not 10),
 * `q_proj.lora_A` and `*.lora_B*` are what they look like.
 */
export function matchesTensor(pattern: string, liveName: string): boolean {
  const glob = `*.${pattern}.*`;
  return globCovers(glob, `.${liveName}.`) || globCovers(glob, `.${diskKey(liveName)}.`);
}

/** Whether a glob with `*` covers all of `text`; goes back to the last star only, so it is never slow. */
function globCovers(glob: string, text: string): boolean {
  let star = -1;
  let resume = 0;
  let g = 0;
  for (let t = 0; t < text.length; ) {
    if (glob[g] === "*") {
      star = g++;
      resume = t;
    } else if (glob[g] === text[t]) {
      g++;
      t++;
    } else {
      if (star < 0) return false;
      g = star + 1;
      t = ++resume;
    }
  }
  while (glob[g] === "*") g++;
  return g === glob.length;
}

/**
 * Puts every tensor into a learning-rate group: the first rule that matches it, else
 * `default`. LoRA+ is `{ name: "B", match: ["*.lora_B*"] }`.
 *
 * @param names - live names of the trainable tensors
 * @throws CONFIG_INVALID for each group that gets no tensor, saying if an earlier one took them
 */
export function matchGroups(names: Iterable<string>, groups: readonly GroupRule[]): Map<string, string> {
  const all = [...names];
  const assigned = new Map<string, string>();
  for (const name of all) {
    const group = groups.find(({ match }) => match.some((pattern) => matchesTensor(pattern, name)));
    assigned.set(name, group?.name ?? DEFAULT_GROUP);
  }
  const used = new Set(assigned.values());
  const [first, ...rest] = groups.filter(({ name }) => !used.has(name)).map((group) => emptyGroup(group, all, assigned));
  if (first !== undefined) throw HeirloomError.of([first, ...rest]);
  return assigned;
}

function emptyGroup(group: GroupRule, names: readonly string[], assigned: ReadonlyMap<string, string>): Problem {
  const taken = names.filter((name) => group.match.some((pattern) => matchesTensor(pattern, name)));
  const takers = [...new Set(taken.map((name) => assigned.get(name) as string))];
  const message =
    taken.length > 0
      ? `the learning-rate group "${group.name}" gets no tensor: "${takers.join('", "')}" above it matched them all`
      : `the learning-rate group "${group.name}" matches no trainable tensor: ${group.match.map((pattern) => JSON.stringify(pattern)).join(", ")}`;
  const parts = new Set(names.flatMap((name) => liveNameFacts(name).module.split(".")));
  const near = group.match.map((pattern) => nearestName(pattern, parts)).find((name) => name !== undefined);
  const hint =
    taken.length > 0
      ? "put the narrower group first"
      : near === undefined
        ? "a group is of tensors that are trained: LoRA matrices of the targets, full copies of modulesToSave; name it so, or take the group away"
        : `did you mean "${near}"?`;
  return { code: "CONFIG_INVALID", message, hint, details: { group: group.name, match: group.match } };
}
