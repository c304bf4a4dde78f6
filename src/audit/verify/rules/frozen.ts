import { trainedKeys } from "../trained-keys.ts";
import { defineRule, type SubjectWith } from "../types.ts";
import { areText, tensorsText } from "../wording.ts";

/** What is said of tensors whose values stayed the same. */
export function frozenMessage(keys: readonly string[], since: string, until: string | null, total: number): string {
  const what = keys.length === total ? `all ${total} trained tensors` : tensorsText(keys);
  return `${what} ${areText(keys)} ${until === null ? `frozen since ${since}` : `frozen between ${since} and ${until}`}: bit for bit the same`;
}

/** Keys whose values ought to have changed. */
export function expectedToMove(subject: Pick<SubjectWith<"earlier">, "lora" | "weights" | "earlier"> & SubjectWith<"earlier">): string[] {
  const { lora } = subject;
  const own = lora === null ? [...subject.weights.tensors.keys()] : trainedKeys({ ...subject, lora }).map(({ key }) => key);
  return own.filter((key) => subject.earlier.tensors.has(key));
}

export const frozen = defineRule({
  id: "frozen",
  severity: "error",
  meaning:
    "Tensors that the adapter trains have exactly the values of the earlier state: they got no updates in between. Embeddings and heads that a reload froze look like this, and the file's size does not tell.",
  remedy:
    "go on from the earlier state with these tensors trainable (PEFT: is_trainable=True; then compare the count of trainable parameters)",
  needs: ["earlier", "values"],
  async check(subject) {
    const { weights, earlier, values } = subject;
    const expected = expectedToMove(subject);
    const same: string[] = [];
    for (const key of expected) {
      const [now, then] = [weights.tensors.get(key), earlier.tensors.get(key)];
      if (now === undefined || then === undefined) continue;
      if ((await values.compare(now, then))?.changed === 0) same.push(key);
      // Of a model parts are often frozen on purpose: only one in which nothing moved stands out.
      else if (subject.lora === null) return [];
    }
    if (same.length === 0) return [];
    return [{ message: frozenMessage(same, subject.previous?.label ?? "before", null, expected.length), tensors: same }];
  },
});
