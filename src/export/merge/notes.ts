import type { Merge } from "./prepared.ts";
import { isStoredIn4Bit } from "./settings.ts";

/** What had to be taken for granted, and what a user should know. */
export function notesOn({ adapter, base, held, onto, original, request, notRun }: Merge, tokenizer: string | null): string[] {
  const notes: string[] = [];
  const packed = isStoredIn4Bit(base.model);
  if (adapter.record === null) {
    notes.push("the adapter has no record of its training: the base is taken to be the right one");
    if (!packed && request.heldAs === undefined)
      notes.push(
        "it is taken to have been trained on the base as its files are; if it was loaded in 4 bits, say --held-as nf4 or nf4-double",
      );
  }
  if (packed && original === null)
    notes.push("the base holds 4-bit weights only: how far they are from the original was not measured (--original)");
  if (onto === "original" && (packed || held !== null))
    notes.push("merged onto the original weights, which the adapter did not see in training");
  if (request.check === false) notes.push("the merged model was NOT compared with the adapter (--no-check)");
  if (notRun !== null)
    notes.push(
      `the adapter cannot be run here (${notRun}): in place of logits the merged weights were compared with the formula evaluated again, which says less`,
    );
  if (tokenizer === null) notes.push("there is no tokenizer.json beside the adapter or its base; none was copied");
  return notes;
}
