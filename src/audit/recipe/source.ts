import { basename } from "node:path";
import { HeirloomError } from "../../core/index.ts";
import { openPath } from "../../folders/index.ts";
import { dtypeBits, isSafetensorsDtype, type LoraPeftConfig } from "../../formats/index.ts";
import { DEFAULT_GROUP } from "../../ledger/index.ts";
import { type AdapterRecord, readAdapterRecord } from "../../runs/index.ts";
import { type InspectResult, inspectPath } from "../inspect/index.ts";
import type { GuardedTensor, RecipeGroup, RecipeSource } from "./types.ts";

/** The name that the guard makes of a live name; the same rule as its Python. */
function guardKey(liveName: string): string {
  return liveName.replace(/\.modules_to_save\.default\./, ".").replace(/\.(lora_[A-Za-z_]+)\.default(?=\.|$)/, ".$1");
}

function valueBytes(dtype: string): number {
  return isSafetensorsDtype(dtype) ? dtypeBits(dtype) / 8 : 4;
}

/** The tensors that are to be trained. A tied head is in the file twice, and once in the live model. */
function guardedTensors(inspected: InspectResult, config: LoraPeftConfig): GuardedTensor[] {
  const trained = inspected.tensors.filter(({ trainable }) => trainable);
  const hasEmbeddingCopy = trained.some(({ role, module }) => role === "full_copy" && module.endsWith("embed_tokens"));
  return trained
    .filter(({ role, module }) => !(config.ensureWeightTying && hasEmbeddingCopy && role === "full_copy" && module === "lm_head"))
    .map(({ name, shape, dtype, group, role }) => ({
      key: guardKey(name),
      shape,
      valueBytes: valueBytes(dtype),
      group: group ?? DEFAULT_GROUP,
      role,
    }));
}

/** Groups in the order of the optimizer: the record's, a checkpoint's, or one whose rate nobody wrote down. */
async function groupsOf(inspected: InspectResult, record: AdapterRecord | null, used: ReadonlySet<string>): Promise<RecipeGroup[]> {
  if (record !== null) {
    const { learningRateGroups } = await import("../../config/index.ts");
    const { training } = record.config;
    // The default group first: so lies Unsloth's optimizer too, and a checkpoint made with this order can be read again.
    const all = [
      { name: DEFAULT_GROUP, learningRate: training.learningRate, weightDecay: training.weightDecay },
      ...learningRateGroups(training),
    ];
    return all.filter(({ name }) => used.has(name)).map(({ name, learningRate, weightDecay }) => ({ name, learningRate, weightDecay }));
  }
  if (inspected.groups.length > 0) return inspected.groups.map(({ name, learningRate }) => ({ name, learningRate, weightDecay: 0 }));
  return [...used].map((name) => ({ name, learningRate: null, weightDecay: 0 }));
}

/** What a record or the base's name says about 4-bit training. */
function quantizationOf(record: AdapterRecord | null, base: string): Pick<RecipeSource, "quantized" | "doubleQuant"> {
  if (record !== null) {
    const { quantization } = record.config;
    return { quantized: quantization !== null, doubleQuant: quantization?.doubleQuant ?? false };
  }
  return { quantized: /-bnb-4bit$/i.test(base) ? true : null, doubleQuant: true };
}

/** Why a checkpoint's optimizer cannot be gone on with by a Trainer; null if it can. */
function resumeFault(inspected: InspectResult): string | null {
  const { checkpoint } = inspected;
  if (checkpoint === null) return null;
  if (checkpoint.optimizer === null) return "it has no optimizer.pt that could be read, so its weights only are gone on with";
  if (checkpoint.optimizer.order === null)
    return "its optimizer's indices could not be matched with names, so its weights only are gone on with";
  if (checkpoint.optimizer.kind !== "adam")
    return `its optimizer is ${checkpoint.optimizer.kind}; recipes are written for AdamW, so its weights only are gone on with`;
  if (checkpoint.missing.some((file) => file.startsWith("scheduler")))
    return "scheduler.pt is missing, so its weights only are gone on with";
  return null;
}

function baseOf(given: string | undefined, record: AdapterRecord | null, config: LoraPeftConfig, path: string): string {
  const base = given ?? record?.base.path ?? config.baseModelNameOrPath;
  if (base !== null && base !== "") return base;
  throw new HeirloomError("RECIPE_INCOMPLETE", "expected the name of the base model, found none in the adapter", {
    where: path,
    hint: "name it: --base owner/model",
  });
}

/**
 * Reads what a recipe is made of.
 *
 * @param base name or folder of the base; its folder also gives the order of tensors
 * @throws what `inspectPath` throws; ADAPTER_UNSUPPORTED for PEFT types other than LoRA; RECIPE_INCOMPLETE
 */
export async function readRecipeSource(path: string, base: string | undefined, baseFolder: string | undefined): Promise<RecipeSource> {
  const inspected = await inspectPath(path, baseFolder === undefined ? {} : { base: baseFolder });
  if (inspected.adapter === null) {
    throw new HeirloomError("ADAPTER_UNSUPPORTED", "expected an adapter, found a model", { where: path, hint: "name an adapter's folder" });
  }
  const opened = await openPath(path);
  try {
    const config = await opened.adapterConfig();
    if (config?.kind !== "lora") {
      throw new HeirloomError(
        "ADAPTER_UNSUPPORTED",
        `recipes are written for LoRA, found ${config === null ? "weights without adapter_config.json" : `the PEFT type ${JSON.stringify(config.peftType)}`}`,
        { where: opened.path },
      );
    }
    const record = await readAdapterRecord(opened.folder);
    const tensors = guardedTensors(inspected, config);
    if (tensors.length === 0) throw new HeirloomError("RECIPE_INCOMPLETE", "no tensor of the adapter is trained", { where: path });
    const fault = resumeFault(inspected);
    const { checkpoint } = inspected;
    const name = baseOf(base, record, config, path);
    return {
      folder: opened.path,
      config,
      base: name,
      ...quantizationOf(record, name),
      tensors,
      groups: await groupsOf(inspected, record, new Set(tensors.map(({ group }) => group))),
      record,
      resume:
        checkpoint === null || fault !== null
          ? null
          : { step: checkpoint.step, maxSteps: checkpoint.maxSteps, arguments: checkpoint.arguments },
      notes: [...inspected.notes, ...(fault === null ? [] : [`${basename(opened.path)}: ${fault}`])],
    };
  } finally {
    await opened.close();
  }
}
