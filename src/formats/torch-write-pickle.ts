import { InternalError } from "../core/index.ts";
import { dtypeBits, type SafetensorsDtype } from "./dtypes.ts";
import { PythonFloat } from "./python-float.ts";
import { STORAGE_DTYPES, TORCH_DTYPES } from "./torch-names.ts";
import { PickleBytes } from "./torch-write-bytes.ts";
import type { NumpyCode, NumpyToSave, StorageToSave, TensorToSave, TorchDtype, ValueToSave } from "./torch-write-values.ts";

/** torch.save's (`DEFAULT_PROTOCOL`). */
const PROTOCOL = 2;
/** Items that Python's pickler puts on the stack at a time. */
const BATCH = 1000;
/** As deep as the reader follows (pickle-nesting.ts). */
const MAX_DEPTH = 64;
/** numpy's `_reconstruct` is given this as a type code; Python keeps one object for it. */
const ARRAY_TYPE_CODE = Uint8Array.of(0x62);
const NUMPY_DTYPE_VERSION = 3;
const NUMPY_ARRAY_VERSION = 1;

type Name = readonly [module: string, name: string];

const NAMES = {
  orderedDict: ["collections", "OrderedDict"],
  encode: ["_codecs", "encode"],
  rebuildTyped: ["torch._utils", "_rebuild_tensor_v2"],
  rebuildUntyped: ["torch._utils", "_rebuild_tensor_v3"],
  untypedStorage: ["torch.storage", "UntypedStorage"],
  numpyDtype: ["numpy", "dtype"],
  numpyArray: ["numpy", "ndarray"],
  numpyReconstruct: ["numpy._core.multiarray", "_reconstruct"],
  numpyScalar: ["numpy._core.multiarray", "scalar"],
} as const satisfies Record<string, Name>;

/** A table of the reader turned round; of several names for a dtype the first. */
function namesOf(table: ReadonlyMap<string, SafetensorsDtype>): ReadonlyMap<SafetensorsDtype, Name> {
  const names = new Map<SafetensorsDtype, Name>();
  for (const [path, dtype] of table) {
    const dot = path.lastIndexOf(".");
    if (!names.has(dtype)) names.set(dtype, [path.slice(0, dot), path.slice(dot + 1)]);
  }
  return names;
}

/** Storage classes of the dtypes that have one; those that came later are saved as bytes and name their dtype apart. */
const STORAGE_CLASSES = namesOf(STORAGE_DTYPES);
const DTYPE_NAMES = namesOf(TORCH_DTYPES);

function nameOfDtype(dtype: TorchDtype): Name {
  const name = DTYPE_NAMES.get(dtype);
  if (name === undefined) throw new InternalError(`torch saves no ${dtype}`);
  return name;
}

function batchesOf<T>(items: readonly T[]): T[][] {
  return Array.from({ length: Math.ceil(items.length / BATCH) }, (_, i) => items.slice(i * BATCH, (i + 1) * BATCH));
}

/** A pickle and the storages that it refers to: the one at index i is `data/<i>`. */
export interface TorchPickle {
  readonly bytes: Uint8Array;
  readonly storages: readonly StorageToSave[];
}

/** Writes values opcode for opcode as CPython's C pickler does for torch.save. */
class TorchPickler {
  readonly #out = new PickleBytes();
  /** Where objects, and texts by what they say, stand in the memo. */
  readonly #memo = new Map<unknown, number>();
  #memoSize = 0;
  readonly #storageKeys = new Map<StorageToSave, string>();
  /** numpy has one object for each dtype. */
  readonly #dtypes = new Map<NumpyCode, object>();
  #depth = 0;

  run(value: ValueToSave): TorchPickle {
    this.#out.op("PROTO");
    this.#out.u8(PROTOCOL);
    this.#save(value);
    this.#out.op("STOP");
    return { bytes: this.#out.done(), storages: [...this.#storageKeys.keys()] };
  }

  /** Refers to `key` if it was written already. */
  #recall(key: unknown): boolean {
    const at = this.#memo.get(key);
    if (at !== undefined) this.#out.memo("BINGET", at);
    return at !== undefined;
  }

  /** Numbers what is on top of the stack; without a key nothing will refer to it, but Python numbers it all the same. */
  #memoize(key?: unknown): void {
    if (key !== undefined) this.#memo.set(key, this.#memoSize);
    this.#out.memo("BINPUT", this.#memoSize++);
  }

  #save(value: ValueToSave): void {
    if (value === null) this.#out.op("NONE");
    else if (typeof value === "boolean") this.#out.op(value ? "NEWTRUE" : "NEWFALSE");
    else if (typeof value === "number" || typeof value === "bigint") this.#out.integer(value);
    else if (typeof value === "string") this.#text(value);
    else if (value instanceof PythonFloat) this.#out.float(value.value);
    else if (!this.#recall(value)) {
      if (++this.#depth > MAX_DEPTH) throw new InternalError(`values to save are nested more than ${MAX_DEPTH} deep`);
      this.#object(value);
      this.#depth--;
    }
  }

  #object(value: Exclude<ValueToSave, null | boolean | number | bigint | string | PythonFloat>): void {
    if (value instanceof Uint8Array) this.#bytes(value);
    else if (value instanceof Map) this.#dict(value as ReadonlyMap<string | number, ValueToSave>);
    else if (!("kind" in value)) this.#list(value as readonly ValueToSave[]);
    else if (value.kind === "tensor-to-save") this.#tensor(value);
    else if (value.kind === "ordered-dict") this.#orderedDict(value.items, value);
    else if (value.kind === "tuple")
      this.#tuple(
        value.items.map((item) => () => this.#save(item)),
        value,
      );
    else if (value.shape === null) this.#numpyScalar(value);
    else this.#numpyArray(value, value.shape);
  }

  /** Python's texts in state files are interned, so equal ones are one object. */
  #text(value: string): void {
    if (this.#recall(value)) return;
    this.#out.text(value);
    this.#memoize(value);
  }

  /** Each name is one array of this file, which is what the memo knows it by. */
  #name(name: Name): void {
    if (this.#recall(name)) return;
    this.#out.op("GLOBAL");
    this.#out.raw(new TextEncoder().encode(`${name[0]}\n${name[1]}\n`));
    this.#memoize(name);
  }

  #tuple(items: readonly (() => void)[], key?: unknown): void {
    if (items.length === 0) {
      this.#out.op("EMPTY_TUPLE");
      return;
    }
    if (items.length > 3) this.#out.op("MARK");
    for (const save of items) save();
    this.#out.op(items.length > 3 ? "TUPLE" : (`TUPLE${items.length}` as "TUPLE1" | "TUPLE2" | "TUPLE3"));
    this.#memoize(key);
  }

  #values(...items: readonly ValueToSave[]): void {
    this.#tuple(items.map((item) => () => this.#save(item)));
  }

  #list(list: readonly ValueToSave[]): void {
    this.#out.op("EMPTY_LIST");
    this.#memoize(list);
    const batches = list.length === 1 ? [] : batchesOf(list);
    for (const batch of batches) {
      this.#out.op("MARK");
      for (const item of batch) this.#save(item);
      this.#out.op("APPENDS");
    }
    if (list.length === 1) {
      this.#save(list[0] as ValueToSave);
      this.#out.op("APPEND");
    }
  }

  #dict(dict: ReadonlyMap<string | number, ValueToSave>): void {
    this.#out.op("EMPTY_DICT");
    this.#memoize(dict);
    const items = [...dict];
    // The C pickler asks for another batch after a full one, and only then finds the dict at its end.
    const isFull = items.length > 0 && items.length % BATCH === 0;
    if (items.length === 1) this.#setItem(items[0] as [string | number, ValueToSave]);
    else for (const batch of [...batchesOf(items), ...(isFull ? [[]] : [])]) this.#setItems(batch);
  }

  #setItem([key, value]: readonly [string | number, ValueToSave]): void {
    this.#save(key);
    this.#save(value);
    this.#out.op("SETITEM");
  }

  #setItems(items: readonly (readonly [string | number, ValueToSave])[]): void {
    this.#out.op("MARK");
    for (const [key, value] of items) {
      this.#save(key);
      this.#save(value);
    }
    this.#out.op("SETITEMS");
  }

  /** Pairs come from an iterator here, so a batch of one is told apart wherever it stands. */
  #orderedDict(items: ReadonlyMap<string | number, ValueToSave>, key?: unknown): void {
    this.#call(NAMES.orderedDict, () => this.#values(), key);
    for (const batch of batchesOf([...items])) {
      if (batch.length === 1) this.#setItem(batch[0] as [string | number, ValueToSave]);
      else this.#setItems(batch);
    }
  }

  #call(name: Name, saveArguments: () => void, key?: unknown): void {
    this.#name(name);
    saveArguments();
    this.#out.op("REDUCE");
    this.#memoize(key);
  }

  /** Protocol 2 knows no bytes: they are text to encode. So are no bytes at all, where Python calls `bytes()`, which `weights_only` refuses. */
  #bytes(bytes: Uint8Array): void {
    // Not TextDecoder: its "latin1" is windows-1252.
    const saveText = (): void => {
      this.#out.text(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
      this.#memoize();
    };
    this.#call(NAMES.encode, () => this.#tuple([saveText, () => this.#text("latin1")]), bytes);
  }

  #tensor(tensor: TensorToSave): void {
    const { storage, offset, shape, strides, requiresGrad } = tensor;
    const storageClass = STORAGE_CLASSES.get(storage.dtype);
    const items = [
      () => this.#storage(storage, storageClass),
      () => this.#save(offset),
      () => this.#values(...shape),
      () => this.#values(...strides),
      () => this.#save(requiresGrad),
      () => this.#orderedDict(new Map()),
    ];
    if (storageClass === undefined) items.push(() => this.#name(nameOfDtype(storage.dtype)));
    this.#call(storageClass === undefined ? NAMES.rebuildUntyped : NAMES.rebuildTyped, () => this.#tuple(items), tensor);
  }

  /** `("storage", class, key, device, number of elements)` */
  #storage(storage: StorageToSave, storageClass: Name | undefined): void {
    let key = this.#storageKeys.get(storage);
    if (key === undefined) {
      key = String(this.#storageKeys.size);
      this.#storageKeys.set(storage, key);
    }
    const count = storageClass === undefined ? (storage.elements * dtypeBits(storage.dtype)) / 8 : storage.elements;
    this.#tuple([
      () => this.#text("storage"),
      () => this.#name(storageClass ?? NAMES.untypedStorage),
      () => this.#storageKey(storage, key),
      () => this.#text("cpu"),
      () => this.#save(count),
    ]);
    this.#out.op("BINPERSID");
  }

  /** Not interned: made for the storage, so a dict key "0" is another object. */
  #storageKey(storage: StorageToSave, key: string): void {
    if (this.#recall(storage)) return;
    this.#out.text(key);
    this.#memoize(storage);
  }

  #numpyDtype(code: NumpyCode): void {
    const dtype = this.#dtypes.get(code) ?? {};
    this.#dtypes.set(code, dtype);
    if (this.#recall(dtype)) return;
    this.#call(NAMES.numpyDtype, () => this.#values(code, false, true), dtype);
    const byteOrder = code.endsWith("1") ? "|" : "<";
    this.#values(NUMPY_DTYPE_VERSION, byteOrder, null, null, null, -1, -1, 0);
    this.#out.op("BUILD");
  }

  #numpyScalar(scalar: NumpyToSave): void {
    this.#call(NAMES.numpyScalar, () => this.#tuple([() => this.#numpyDtype(scalar.code), () => this.#save(scalar.bytes)]), scalar);
  }

  #numpyArray(array: NumpyToSave, shape: readonly number[]): void {
    const empty = [() => this.#name(NAMES.numpyArray), () => this.#values(0), () => this.#save(ARRAY_TYPE_CODE)];
    this.#call(NAMES.numpyReconstruct, () => this.#tuple(empty), array);
    this.#tuple([
      () => this.#save(NUMPY_ARRAY_VERSION),
      () => this.#values(...shape),
      () => this.#numpyDtype(array.code),
      () => this.#save(false),
      () => this.#save(array.bytes),
    ]);
    this.#out.op("BUILD");
  }
}

/** Pickles a value as torch.save does (protocol 2), its storages beside it. */
export function torchPickle(value: ValueToSave): TorchPickle {
  return new TorchPickler().run(value);
}
