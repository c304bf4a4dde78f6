/** A name that a pickle mentions: a class or function of Python. Nothing stands behind it here. */
export class PythonName {
  readonly module: string;
  readonly name: string;

  constructor(module: string, name: string) {
    this.module = module;
    this.name = name;
  }

  get path(): string {
    return `${this.module}.${this.name}`;
  }
}

/** What a pickle would have called or built, written down instead: the callee, its arguments, its state. */
export class PythonObject {
  readonly callee: PickleValue;
  readonly args: readonly PickleValue[];
  /** What `BUILD` gave it, if anything. */
  state: PickleValue = null;

  constructor(callee: PickleValue, args: readonly PickleValue[]) {
    this.callee = callee;
    this.args = args;
  }
}

/**
 * A Python value in ours: dict is a Map, list and tuple are arrays (a tuple is frozen), set is a Set,
 * bytes are a Uint8Array, an integer beyond 2^53 is a bigint; other objects are what the reader's
 * {@link PickleWorld} makes of them.
 */
export type PickleValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | readonly PickleValue[]
  | ReadonlyMap<PickleValue, PickleValue>
  | ReadonlySet<PickleValue>
  | PythonName
  | PythonObject
  | InertValue;

/** A record that a {@link PickleWorld} puts in place of a Python object. */
export interface InertValue {
  readonly kind: string;
}

/** What a pickle may mention, and what stands in for it. Every function refuses by throwing; none runs anything. */
export interface PickleWorld {
  /** The record for `module.name`. @throws PICKLE_UNSAFE */
  name(module: string, name: string): PickleValue;
  /** What calling `callee` stands for. @throws PICKLE_UNSAFE */
  call(callee: PickleValue, args: readonly PickleValue[]): PickleValue;
  /** `target` after its state was set. @throws PICKLE_UNSAFE */
  build(target: PickleValue, state: PickleValue): PickleValue;
  /** What an id outside the pickle stands for. @throws PICKLE_UNSAFE */
  persistent(id: PickleValue): PickleValue;
}

/** The value under a key of a dict, or `undefined` if `value` is no dict or has no such key. */
export function entryOfDict(value: PickleValue | undefined, key: string): PickleValue | undefined {
  return value instanceof Map ? (value as ReadonlyMap<PickleValue, PickleValue>).get(key) : undefined;
}

/** The items of a list; none if `value` is no list. */
export function listOf(value: PickleValue | undefined): readonly PickleValue[] {
  return Array.isArray(value) ? (value as readonly PickleValue[]) : [];
}

/** The entries of a dict; none if `value` is no dict. */
export function dictOf(value: PickleValue | undefined): ReadonlyMap<PickleValue, PickleValue> {
  return value instanceof Map ? (value as ReadonlyMap<PickleValue, PickleValue>) : new Map<PickleValue, PickleValue>();
}
