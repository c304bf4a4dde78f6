import { type ByteSource, HeirloomError, ProblemList } from "../../core/index.ts";
import { dictOf, entryOfDict, listOf, type PickleValue } from "../pickle-values.ts";
import { describeValue, printable } from "../printable.ts";
import { readTorchFile } from "../torch-file.ts";
import { isTorchTensor, type TorchTensor } from "../torch-tensor.ts";

/** A value of a group that is no list and no tensor. */
type Plain = string | number | boolean | null;

/** The key under which bitsandbytes (0.50) keeps its state, one level deeper, so that FSDP does not shard it. */
const NESTED_STATE = "__bnb_optimizer_quant_state__";

/** What an optimizer keeps in its parameter's shape, by the name of the algorithm that keeps it; the first that is there decides. */
const SHAPED_STATE = [
  ["state1", "8-bit"],
  ["exp_avg", "adam"],
  ["momentum_buffer", "sgd"],
  ["exp_avg_sq", "adafactor"],
] as const satisfies readonly (readonly [key: string, kind: string])[];

/** The family of an optimizer, as what it keeps of a parameter tells it. `8-bit` is that of bitsandbytes, which keeps small tensors in full. */
type OptimizerKind = (typeof SHAPED_STATE)[number][1];

/** One `param_groups` entry of an optimizer. */
export interface SavedGroup {
  /** Rate of the next update; null without one of its own (Adafactor may have none). */
  readonly learningRate: number | null;
  /** Rate that a schedule multiplies; null without a schedule. */
  readonly peak: number | null;
  readonly weightDecay: number | null;
  /** Null unless there are two. */
  readonly betas: readonly [number, number] | null;
  readonly epsilon: number | null;
  /** Options that tell one algorithm from another. */
  readonly options: ReadonlyMap<string, Plain>;
  readonly indices: readonly number[];
}

/** What an optimizer keeps of one parameter. */
export interface SavedParameterState {
  /** Updates that the parameter has had; null if they are not counted by parameter. */
  readonly updates: number | null;
  /** Tensors by their keys; those that bitsandbytes keeps one level deeper as if they were not. */
  readonly tensors: ReadonlyMap<string, TorchTensor>;
  /** Shape of the parameter; null where the state is flat, by rows or of no known algorithm. */
  readonly shape: readonly number[] | null;
  readonly kind: OptimizerKind | null;
}

/** An optimizer's `state_dict()` as a file holds it: indices, not names. The tensors' values are not read yet. */
export interface SavedOptimizer {
  /** The file, for messages. */
  readonly file: string;
  readonly groups: readonly SavedGroup[];
  /** By the parameter's index, counted through all groups; torch makes a parameter's state in its first step. */
  readonly state: ReadonlyMap<number, SavedParameterState>;
  /** Keys of state that is of no parameter; torch's own optimizers have none. */
  readonly shared: readonly string[];
}

/** Where a value of the state lies, for messages: `optimizer.pt state[3].exp_avg`. */
export function optimizerStateAt(file: string, index: number | string, key: string): string {
  return `${printable(file)} state[${index}].${printable(key)}`;
}

const isIndex = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
const isPlain = (value: unknown): value is Plain =>
  value === null || typeof value === "string" || typeof value === "number" || typeof value === "boolean";

/** How the value of a tensor of one element lies in its bytes; torch counts in the default dtype of floats. */
const SCALARS: Readonly<Record<string, (view: DataView) => number>> = {
  F32: (view) => view.getFloat32(0, true),
  F64: (view) => view.getFloat64(0, true),
  I32: (view) => view.getInt32(0, true),
  I64: (view) => Number(view.getBigInt64(0, true)),
};

/** A number, or a tensor of one; null if it is neither. */
async function numberOf(value: PickleValue | undefined): Promise<number | null> {
  if (!isTorchTensor(value)) return typeof value === "number" ? value : null;
  const read = SCALARS[value.dtype];
  if (read === undefined || value.shape.some((size) => size !== 1)) return null;
  const bytes = await value.source.read(0, value.source.size);
  return read(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength));
}

function describe(value: PickleValue | undefined): string {
  if (isTorchTensor(value)) return `a tensor of ${value.dtype} [${value.shape.join(", ")}]`;
  return value === undefined ? "none" : describeValue(value);
}

/** Each counter is a tensor of its own, and on the hub a request: some at a time hide the latency. */
const PARALLEL_READS = 16;

/** Reads a state_dict; what is wrong with it is collected. */
class StateReader {
  readonly #file: string;
  readonly #problems = new ProblemList();

  constructor(file: string) {
    this.#file = file;
  }

  async read(value: PickleValue): Promise<SavedOptimizer> {
    const [state, groups] = [entryOfDict(value, "state"), entryOfDict(value, "param_groups")];
    if (!(state instanceof Map && Array.isArray(groups))) throw this.#unsupported("a dict with state and param_groups", describe(value));
    const seen = new Set<number>();
    const saved = { file: this.#file, groups: await this.#groups(groups, seen), ...(await this.#state(dictOf(state), seen)) };
    this.#problems.throwIfAny();
    return saved;
  }

  #unsupported(expected: string, found: string): HeirloomError {
    return new HeirloomError("TORCH_FILE_UNSUPPORTED", `expected ${expected}, found ${found}`, {
      where: printable(this.#file),
      hint: "save what the optimizer's state_dict() gives",
    });
  }

  #fault(message: string, where: string, details: Readonly<Record<string, number | string>>): null {
    this.#problems.add("CHECKPOINT_INVALID", message, { where, hint: "take the checkpoint before it: name its folder", details });
    return null;
  }

  /** @param seen gets the indices of all groups */
  async #groups(groups: readonly PickleValue[], seen: Set<number>): Promise<SavedGroup[]> {
    const saved: SavedGroup[] = [];
    for (const [g, group] of groups.entries()) {
      const number = (key: string): Promise<number | null> => this.#option(group, g, key);
      const options = [...dictOf(group)].filter((entry): entry is [string, Plain] => typeof entry[0] === "string" && isPlain(entry[1]));
      const betas = listOf(entryOfDict(group, "betas"));
      const [beta1, beta2] = betas;
      saved.push({
        learningRate: await number("lr"),
        peak: await number("initial_lr"),
        weightDecay: await number("weight_decay"),
        betas: betas.length === 2 && typeof beta1 === "number" && typeof beta2 === "number" ? [beta1, beta2] : null,
        epsilon: typeof entryOfDict(group, "eps") === "number" ? await number("eps") : null,
        options: new Map(options),
        indices: this.#indices(group, g, seen),
      });
    }
    return saved;
  }

  /** A number of a group; null if it has none, which is what None means. */
  async #option(group: PickleValue, g: number, key: string): Promise<number | null> {
    const value = entryOfDict(group, key);
    if (value === undefined || value === null) return null;
    const number = await numberOf(value);
    if (number !== null && Number.isFinite(number)) return number;
    const found = number === null ? describe(value) : String(number);
    return this.#fault(`expected a number, found ${found}`, `${printable(this.#file)} param_groups[${g}].${key}`, { group: g, key });
  }

  #indices(group: PickleValue, g: number, seen: Set<number>): number[] {
    const params = entryOfDict(group, "params");
    const where = `${printable(this.#file)} param_groups[${g}].params`;
    if (!Array.isArray(params)) {
      this.#fault(`expected the indices of parameters, found ${describe(params)}`, where, { group: g, key: "params" });
      return [];
    }
    const indices: number[] = [];
    for (const index of params as readonly PickleValue[]) {
      // FSDP's own state_dict goes by names.
      if (typeof index === "string") throw this.#unsupported("indices of parameters", `the name ${printable(index)}`);
      if (!isIndex(index)) this.#fault(`expected the index of a parameter, found ${describe(index)}`, where, { group: g, key: "params" });
      else if (seen.has(index)) this.#fault(`index ${index} is there twice`, where, { group: g, key: "params", index });
      else indices.push(index);
      if (isIndex(index)) seen.add(index);
    }
    return indices;
  }

  async #state(
    state: ReadonlyMap<PickleValue, PickleValue>,
    inGroups: ReadonlySet<number>,
  ): Promise<Pick<SavedOptimizer, "state" | "shared">> {
    const own = [...state].filter((entry): entry is [number, PickleValue] => isIndex(entry[0]));
    for (const [index] of own)
      if (!inGroups.has(index)) this.#fault("no group has this index", `${printable(this.#file)} state[${index}]`, { index });
    const shared = [...state.keys()].flatMap((key) => (isIndex(key) ? [] : [typeof key === "string" ? printable(key) : describe(key)]));
    const saved = new Map<number, SavedParameterState>();
    for (let at = 0; at < own.length; at += PARALLEL_READS) {
      const some = own.slice(at, at + PARALLEL_READS);
      const counts = await Promise.all(some.map(([index, kept]) => this.#updates(index, kept)));
      for (const [i, [index, kept]] of some.entries()) saved.set(index, { updates: counts[i] ?? null, ...tensorsOf(kept) });
    }
    return { state: saved, shared };
  }

  async #updates(index: number, kept: PickleValue): Promise<number | null> {
    if (!(kept instanceof Map)) {
      const where = `${printable(this.#file)} state[${index}]`;
      return this.#fault(`expected a dict of what is kept of the parameter, found ${describe(kept)}`, where, { index });
    }
    const value = entryOfDict(kept, "step");
    if (value === undefined) return null;
    const count = await numberOf(value);
    if (isIndex(count)) return count;
    const found = count === null ? describe(value) : String(count);
    return this.#fault(`expected a number of updates, found ${found}`, optimizerStateAt(this.#file, index, "step"), { index, key: "step" });
  }
}

function tensorsOf(kept: PickleValue): Pick<SavedParameterState, "tensors" | "shape" | "kind"> {
  const tensors = new Map<string, TorchTensor>();
  for (const [key, value] of [...dictOf(kept), ...dictOf(entryOfDict(kept, NESTED_STATE))])
    if (typeof key === "string" && isTorchTensor(value)) tensors.set(key, value);
  const known = SHAPED_STATE.find(([key]) => tensors.has(key));
  return { tensors, shape: known === undefined ? null : (tensors.get(known[0])?.shape ?? null), kind: known?.[1] ?? null };
}

/**
 * Reads the file that `torch.save(optimizer.state_dict())` wrote: groups, counters, and which tensors
 * are kept of each parameter. Runs no pickle, and skips nothing: all faults are told at once, with
 * their index and key.
 *
 * @throws TORCH_FILE_UNSUPPORTED if it is no state_dict by indices, CHECKPOINT_INVALID, and what reading a torch file throws
 */
export async function readSavedOptimizer(source: ByteSource): Promise<SavedOptimizer> {
  const { value } = await readTorchFile(source);
  return new StateReader(source.name).read(value);
}

/** The numbers of updates that its parameters have had; each once. */
export function updatesOf({ state }: SavedOptimizer): number[] {
  return [...new Set([...state.values()].map(({ updates }) => updates).filter((updates) => updates !== null))];
}
