import { HeirloomError } from "../../core/index.ts";
import type { ModelFolder } from "../../folders/index.ts";
import { bnb4bitNames } from "../../formats/index.ts";
import type { AdapterSource } from "../adapter-source.ts";
import type { HeldAs } from "../tensor-rows.ts";
import type { MergeDtype, MergeRequest, MergeTarget } from "./api.ts";

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

/** How the base was held in training: its files or the adapter's record say it, else the user. @throws USAGE if they contradict each other */
export function heldAs({ heldAs: given }: MergeRequest, { record, folder }: AdapterSource, base: ModelFolder): HeldAs {
  if (isStoredIn4Bit(base)) {
    if (given === undefined || given === "files") return null; // as the files have it
    throw new HeirloomError("USAGE", `the base is stored in 4 bits and was held as its files are; --held-as ${given} says otherwise`, {
      where: base.folder.name,
      hint: "leave --held-as out, or name the dense model with --base",
    });
  }
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
