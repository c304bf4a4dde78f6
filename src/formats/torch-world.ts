import { type ByteSource, HeirloomError } from "../core/index.ts";
import { dtypeBits, type SafetensorsDtype } from "./dtypes.ts";
import { type InertValue, type PickleValue, type PickleWorld, PythonName } from "./pickle-values.ts";
import { describeValue, printable } from "./printable.ts";
import { ALLOWED_NAMES, STORAGE_DTYPES, TORCH_DTYPES } from "./torch-names.ts";
import { isTorchTensor, type TorchStorage, type TorchTensor, tensorOver } from "./torch-tensor.ts";

/** Text that `_codecs.encode` turns into bytes, in all: a generator of numpy has 2.5 kB. */
const MAX_ENCODED_CHARACTERS = 1_048_576;

/** A numpy dtype, array or scalar, as far as it matters here. */
export interface NumpyValue extends InertValue {
  readonly kind: "numpy";
  readonly type: "dtype" | "ndarray" | "scalar";
  /** `dtype`'s code, such as `u4`. */
  readonly code: string | null;
  /** Set by the pickle after the value is made. */
  state: PickleValue;
}

/** Says where `data/<key>` lies; `undefined` if there is none. */
export type StorageLookup = (key: string) => ByteSource | undefined;

const isNumpy = (value: PickleValue): value is NumpyValue =>
  typeof value === "object" && value !== null && (value as Partial<InertValue>).kind === "numpy";
const isStorage = (value: PickleValue | undefined): value is TorchStorage =>
  typeof value === "object" && value !== null && (value as Partial<InertValue>).kind === "storage";
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
const isCounts = (value: unknown): value is readonly number[] => Array.isArray(value) && value.every(isCount);

/** The records that stand in for what torch.save writes; knows no other names. */
class TorchWorld implements PickleWorld {
  readonly #where: string;
  readonly #storage: StorageLookup;
  #encoded = 0;

  constructor(where: string, storage: StorageLookup) {
    this.#where = printable(where);
    this.#storage = storage;
  }

  name(module: string, name: string): PickleValue {
    const found = new PythonName(module, name);
    const { path } = found;
    if (ALLOWED_NAMES.has(path) || STORAGE_DTYPES.has(path) || TORCH_DTYPES.has(path)) return found;
    throw this.#unsafe(`asks for ${printable(path)}`, path);
  }

  call(callee: PickleValue, args: readonly PickleValue[]): PickleValue {
    if (!(callee instanceof PythonName)) throw this.#unsafe(`would call ${describeValue(callee)}`);
    switch (callee.path) {
      case "collections.OrderedDict":
      case "collections.defaultdict":
      case "builtins.dict":
      case "__builtin__.dict":
        // Their items follow as SETITEMS; defaultdict's argument is the class of its defaults.
        if (args.length > 1 || Array.isArray(args[0])) throw this.#invalid(`expected ${callee.name} without items`);
        return new Map();
      case "builtins.bytes":
      case "__builtin__.bytes":
        if (args.length > 0) throw this.#invalid("expected bytes() without arguments");
        return new Uint8Array(0);
      case "_codecs.encode":
        return this.#encode(args);
      case "torch.Size":
        return isCounts(args[0]) ? args[0] : Object.freeze([]);
      case "torch.device":
        return args.map(String).join(":").slice(0, 64);
      case "torch._utils._rebuild_tensor_v2":
        return this.#tensor(args, null);
      case "torch._utils._rebuild_tensor_v3":
        return this.#tensor(args, args[6]);
      case "torch._utils._rebuild_parameter":
        if (!isTorchTensor(args[0])) throw this.#invalid(`expected a parameter over a tensor, found ${describeValue(args[0])}`);
        return args[0];
      case "numpy.dtype":
        return this.#numpy("dtype", typeof args[0] === "string" ? args[0] : null, null);
      case "numpy.core.multiarray._reconstruct":
      case "numpy._core.multiarray._reconstruct":
        return this.#numpy("ndarray", null, null);
      case "numpy.core.multiarray.scalar":
      case "numpy._core.multiarray.scalar":
        return this.#numpy("scalar", null, Object.freeze([...args]));
      default:
        throw this.#unsafe(`would call ${printable(callee.path)}`, callee.path);
    }
  }

  build(target: PickleValue, state: PickleValue): PickleValue {
    if (isNumpy(target)) {
      target.state = state;
      return target;
    }
    // OrderedDict with attributes: state_dict()'s _metadata, of no use here.
    if (target instanceof Map) return target;
    throw this.#unsafe(`would set the state of ${describeValue(target)}`);
  }

  /** `("storage", class, key, device, number of elements)` */
  persistent(id: PickleValue): PickleValue {
    const [tag, type, key, , length] = Array.isArray(id) ? (id as readonly PickleValue[]) : [];
    const dtype = type instanceof PythonName ? STORAGE_DTYPES.get(type.path) : undefined;
    if (tag !== "storage" || dtype === undefined || typeof key !== "string" || !isCount(length))
      throw this.#invalid("expected a reference to a storage, found another one");
    const source = this.#storage(key);
    if (source === undefined) throw this.#invalid(`expected an entry data/${printable(key)}, found none`);
    if ((length * dtypeBits(dtype)) / 8 > source.size)
      throw this.#invalid(`data/${printable(key)}: expected ${length} values of ${dtype}, found ${source.size} bytes`);
    return { kind: "storage", dtype, source } as TorchStorage;
  }

  /** `(storage, offset, size, stride, requires_grad, hooks[, dtype[, metadata]])` */
  #tensor(args: readonly PickleValue[], named: PickleValue | undefined): TorchTensor {
    const [storage, offset, shape, strides] = args;
    const dtype: SafetensorsDtype | undefined =
      named === null && isStorage(storage) ? storage.dtype : named instanceof PythonName ? TORCH_DTYPES.get(named.path) : undefined;
    if (!isStorage(storage) || !isCount(offset) || !isCounts(shape) || !isCounts(strides) || dtype === undefined)
      throw this.#invalid("expected a tensor's storage, offset, size, strides and dtype, found other values");
    const tensor = tensorOver(storage, { dtype, offset, shape, strides });
    if (typeof tensor === "string") throw this.#invalid(tensor);
    return tensor;
  }

  /** How Python 2's pickles write bytes: `encode(text, "latin1")`. */
  #encode([text, encoding]: readonly PickleValue[]): Uint8Array {
    if (typeof text !== "string" || encoding !== "latin1") throw this.#invalid("expected text to encode as latin1, found something else");
    this.#encoded += text.length;
    if (this.#encoded > MAX_ENCODED_CHARACTERS)
      throw this.#invalid(`expected at most ${MAX_ENCODED_CHARACTERS} encoded characters, found more`);
    return Uint8Array.from(text, (character) => character.charCodeAt(0));
  }

  #numpy(type: NumpyValue["type"], code: string | null, state: PickleValue): NumpyValue {
    return { kind: "numpy", type, code, state };
  }

  #invalid(message: string): HeirloomError {
    return new HeirloomError("TORCH_FILE_INVALID", message, { where: this.#where });
  }

  #unsafe(message: string, name?: string): HeirloomError {
    return new HeirloomError("PICKLE_UNSAFE", `the pickle ${message}, which a file of tensors has no need of; nothing of it was run`, {
      where: this.#where,
      hint: "do not load this file with Python either, unless you trust who made it; ask for safetensors",
      ...(name === undefined ? {} : { details: { name: printable(name) } }),
    });
  }
}

/** The {@link PickleWorld} of torch.save over the storages of one archive. */
export function torchWorld(where: string, storage: StorageLookup): PickleWorld {
  return new TorchWorld(where, storage);
}
