import { HeirloomError } from "../../core/index.ts";
import type { ModelFolder } from "../../folders/index.ts";
import { bnb4bitNames } from "../../formats/index.ts";
import type { AdapterSource } from "../adapter-source.ts";
import type { HeldAs } from "../tensor-rows.ts";
import type { MergeDtype, MergeRequest, MergeTarget } from "./api.ts";
import type { Merge } from "./prepared.ts";

const BY_TORCH_NAME: Readonly<Record<string, MergeDtype>> = { float32: "fp32", bfloat16: "bf16", float16: "fp16" };

/** The dtype that the base calls its own; fp32 if it says none. */
export function baseDtype({ spec }: ModelFolder): MergeDtype {
  return BY_TORCH_NAME[spec.torchDtype ?? ""] ?? "fp32";
}

/** Whether the base's files hold 4-bit weights themselves. */
export function isStoredIn4Bit({ tensors }: ModelFolder): boolean {
  return bnb4bitNames(tensors).length > 0;
}

const HELD: Readonly<Record<NonNullable<MergeRequest["heldAs"]>, HeldAs>> = {
  files: null,
  nf4: { doubleQuant: false },
  "nf4-double": { doubleQuant: true },
};

/** How the base was held in training: the adapter's record says it, else the user. @throws USAGE if they contradict each other */
export function heldAs({ heldAs: given }: MergeRequest, { record, folder }: AdapterSource, base: ModelFolder): HeldAs {
  if (isStoredIn4Bit(base)) return null; // as the files have it
  const recorded = record === null ? undefined : record.config.quantization;
  if (recorded === undefined) return HELD[given ?? "files"];
  const own = recorded === null ? null : { doubleQuant: recorded.doubleQuant };
  if (given !== undefined && HELD[given]?.doubleQuant !== own?.doubleQuant) {
    throw new HeirloomError(
      "USAGE",
      `the adapter's record says how its base was held (${own === null ? "files" : `nf4, double quantization ${own.doubleQuant ? "on" : "off"}`}), and --held-as ${given} says otherwise`,
      {
        where: folder.name,
        hint: "leave --held-as out",
      },
    );
  }
  return own;
}

/** @throws USAGE if the original weights are asked for and are nowhere */
export function requireOriginal(onto: MergeTarget, base: ModelFolder, original: ModelFolder | null): void {
  if (original !== null) {
    requireDense(original);
    return;
  }
  if (onto === "trained" || !isStoredIn4Bit(base)) return;
  throw new HeirloomError("USAGE", "the base is stored in 4 bits: the original weights are not in it", {
    where: base.folder.name,
    hint: "name the folder of the dense model with --original, or merge onto the base as trained (--onto trained)",
  });
}

function requireDense(original: ModelFolder): void {
  if (!isStoredIn4Bit(original)) return;
  throw new HeirloomError("USAGE", "expected dense weights under --original, found weights in 4 bits", { where: original.folder.name });
}

/** What had to be taken for granted, and what a user should know. */
export function notesOn({ adapter, base, held, onto, original, request, runtime }: Merge, tokenizer: string | null): string[] {
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
  if (runtime === null) notes.push("the merged model was NOT compared with the adapter (--no-check)");
  if (tokenizer === null) notes.push("there is no tokenizer.json beside the adapter or its base; none was copied");
  return notes;
}
