import { defineRule } from "../types.ts";
import { sameShape } from "../values.ts";
import { shapeText, tensorsText } from "../wording.ts";

export const earlierShapesDiffer = defineRule({
  id: "earlier-shapes-differ",
  severity: "error",
  meaning:
    "Tensors have another shape than under the same name in the earlier state: another rank, another vocabulary, or another adapter. Whether they were trained in between cannot be told from their values.",
  remedy: "compare with a state of the same adapter; if the change of size is meant, leave this rule out with the reason",
  needs: ["previous"],
  check({ weights, previous }) {
    const changed = [...weights.tensors.values()].flatMap((now) => {
      const before = previous.weights.tensors.get(now.name);
      return before === undefined || sameShape(now.shape, before.shape) ? [] : [{ name: now.name, now: now.shape, before: before.shape }];
    });
    const [first] = changed;
    if (first === undefined) return [];
    const names = changed.map(({ name }) => name);
    const example = `${shapeText(first.now)} instead of ${shapeText(first.before)}${names.length === 1 ? "" : " and so on"}`;
    return [{ message: `${tensorsText(names)} cannot be compared with ${previous.label}: ${example}`, tensors: names }];
  },
});
