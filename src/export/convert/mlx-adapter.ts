import { HeirloomError, ProblemList } from "../../core/index.ts";
import { describeValue, printable, type StoredTensor, type TensorFile } from "../../formats/index.ts";

/*
 * An adapter of mlx-lm (tuner/utils.py `load_adapters`, tuner/lora.py, tuner/dora.py; tools/export/prove-mlx.ts runs it):
 *
 *   adapter_config.json    fine_tune_type "lora" (absent: lora), "dora" or "full"; num_layers, counted from the last, 0 and below for
 *                          all; lora_parameters { rank, scale, dropout, keys }; and what else the trainer was called with
 *   adapters.safetensors   <path>.lora_a [in, rank], <path>.lora_b [rank, out], with DoRA <path>.m [out]
 *
 *   y = x·Wᵀ + scale · (dropout(x)·lora_a)·lora_b
 *
 * A module without tensors in the file is wrapped with lora_b zero: it does nothing.
 */

/** Largest rank that is believed; the largest in use are a few thousand. */
const MAX_RANK = 1 << 16;

/** One module of an mlx-lm adapter. */
export interface MlxModule {
  /** `model.layers.0.self_attn.q_proj` */
  readonly path: string;
  readonly a: StoredTensor;
  readonly b: StoredTensor;
  /** DoRA's lengths; null without. */
  readonly m: StoredTensor | null;
}

/** What an mlx-lm adapter says of itself. */
export interface MlxAdapter {
  readonly isDora: boolean;
  readonly rank: number;
  readonly scale: number;
  readonly dropout: number;
  readonly model: string | null;
  readonly modules: readonly MlxModule[];
}

type Values = Readonly<Record<string, unknown>>;

const isValues = (value: unknown): value is Values => typeof value === "object" && value !== null && !Array.isArray(value);

/** Whether the configuration of an adapter is mlx-lm's and not PEFT's. */
export function isMlxConfig(json: unknown): json is Values {
  return (
    isValues(json) &&
    !Object.hasOwn(json, "peft_type") &&
    ["lora_parameters", "fine_tune_type", "num_layers"].some((key) => Object.hasOwn(json, key))
  );
}

function readParameters(json: Values, where: string, problems: ProblemList): { rank: number; scale: number; dropout: number } {
  const parameters = isValues(json["lora_parameters"]) ? json["lora_parameters"] : {};
  const expect = (key: string, holds: (value: number) => boolean, expected: string): number => {
    const value = parameters[key];
    if (typeof value === "number" && holds(value)) return value;
    problems.add("MLX_ADAPTER_INVALID", `lora_parameters.${key}: expected ${expected}, found ${describeValue(value)}`, { where });
    return 0;
  };
  return {
    rank: expect("rank", (value) => Number.isInteger(value) && value >= 1 && value <= MAX_RANK, `a whole number from 1 to ${MAX_RANK}`),
    scale: expect("scale", Number.isFinite, "a number"),
    dropout: expect("dropout", (value) => value >= 0 && value < 1, "a number from 0 to below 1"),
  };
}

/** Groups the tensors by module; what is no LoRA tensor is refused by name. */
function readModules(file: TensorFile, rank: number, isDora: boolean, problems: ProblemList): MlxModule[] {
  const parts = new Map<string, Record<string, StoredTensor>>();
  for (const tensor of file.tensors.values()) {
    const match = /^(.+)\.(lora_a|lora_b|m)$/.exec(tensor.name);
    if (match === null) {
      problems.add("EXPORT_UNSUPPORTED", "a tensor that belongs to no LoRA matrices", {
        where: `${file.name} ${printable(tensor.name)}`,
        hint: "only LoRA and DoRA adapters of linear layers are converted",
      });
      continue;
    }
    const [, path = "", part = ""] = match;
    const own = parts.get(path) ?? {};
    own[part] = tensor;
    parts.set(path, own);
  }
  const modules: MlxModule[] = [];
  for (const [path, { lora_a: a, lora_b: b, m }] of parts) {
    const where = `${file.name} ${printable(path)}`;
    if (a === undefined || b === undefined || isDora !== (m !== undefined)) {
      const found = Object.keys(parts.get(path) ?? {}).join(", ");
      problems.add("MLX_ADAPTER_INVALID", `expected lora_a, lora_b${isDora ? " and m" : ""}, found ${found}`, { where });
      continue;
    }
    if (a.shape.length !== 2 || b.shape.length !== 2 || a.shape[1] !== rank || b.shape[0] !== rank) {
      const found = `[${a.shape.join(", ")}] and [${b.shape.join(", ")}]`;
      problems.add("MLX_ADAPTER_INVALID", `expected lora_a [in, ${rank}] and lora_b [${rank}, out], found ${found}`, { where });
      continue;
    }
    modules.push({ path, a, b, m: m ?? null });
  }
  if (modules.length === 0 && problems.problems.length === 0)
    problems.add("MLX_ADAPTER_INVALID", "expected LoRA matrices, found none", { where: file.name });
  return modules;
}

/**
 * Reads an mlx-lm adapter; values stay in the file.
 *
 * @throws MLX_ADAPTER_INVALID, EXPORT_UNSUPPORTED for full fine-tuning and for tensors of another kind, all at once
 */
export function readMlxAdapter(json: Values, where: string, file: TensorFile): MlxAdapter {
  const type = json["fine_tune_type"] ?? "lora";
  if (type !== "lora" && type !== "dora") {
    throw new HeirloomError("EXPORT_UNSUPPORTED", `fine_tune_type ${describeValue(type)}: only LoRA and DoRA are converted`, {
      where,
      hint: "a fully fine-tuned model is no adapter: save it as a model with mlx_lm.fuse",
    });
  }
  const problems = new ProblemList();
  const parameters = readParameters(json, where, problems);
  problems.throwIfAny(); // the shapes are compared with the rank
  const modules = readModules(file, parameters.rank, type === "dora", problems);
  problems.throwIfAny();
  const model = typeof json["model"] === "string" && json["model"] !== "" ? json["model"] : null;
  return { isDora: type === "dora", ...parameters, model, modules };
}
