import { checkNesting } from "./pickle-nesting.ts";
import { invalidPickle, type Opcode, type PickleToken, pickleTokens } from "./pickle-tokens.ts";
import type { PickleValue, PickleWorld } from "./pickle-values.ts";

/** Lists, dicts, tuples and objects: 83,000 tensors make six each. An empty Map takes 200 bytes, so 100 MB at worst. */
const MAX_CONTAINERS = 500_000;
/** Values waiting to be put together: Python's pickler emits 1,000 at a time; a tuple of one generator state has 625. */
const MAX_STACK = 1_000_000;
/** Entries to refer back to; torch makes eight for each of those 83,000 tensors. */
const MAX_MEMO = 1_000_000;

type MutableList = PickleValue[];
type MutableDict = Map<PickleValue, PickleValue>;

const EMPTY_TUPLE: readonly PickleValue[] = Object.freeze([]);

/** Runs the opcodes of one pickle over a stack and a memo. */
class PickleMachine {
  readonly #where: string;
  readonly #world: PickleWorld;
  readonly #memo = new Map<number, PickleValue>();
  #stack: PickleValue[] = [];
  /** Stacks below the marks. */
  readonly #below: PickleValue[][] = [];
  #depth = 0;
  #containers = 0;
  #at = 0;

  constructor(where: string, world: PickleWorld) {
    this.#where = where;
    this.#world = world;
  }

  run(bytes: Uint8Array): PickleValue {
    for (const token of pickleTokens(bytes, this.#where)) {
      this.#at = token.at;
      if (token.opcode === "STOP") break;
      this.#step(token);
    }
    const value = this.#pop();
    if (this.#below.length > 0 || this.#stack.length > 0) throw this.#invalid("expected one value at the end, found several");
    return value;
  }

  #invalid(message: string) {
    return invalidPickle(this.#where, this.#at, message);
  }

  #push(value: PickleValue): void {
    if (this.#depth + this.#stack.length >= MAX_STACK) throw this.#invalid(`expected at most ${MAX_STACK} values on the stack, found more`);
    this.#stack.push(value);
  }

  #pushContainer<T extends PickleValue>(value: T): void {
    if (++this.#containers > MAX_CONTAINERS) throw this.#invalid(`expected at most ${MAX_CONTAINERS} containers, found more`);
    this.#push(value);
  }

  #pop(): PickleValue {
    const value = this.#stack.pop();
    if (value === undefined) throw this.#invalid("expected a value on the stack, found none");
    return value;
  }

  #top(): PickleValue {
    const value = this.#stack.at(-1);
    if (value === undefined) throw this.#invalid("expected a value on the stack, found none");
    return value;
  }

  #mark(): void {
    this.#depth += this.#stack.length + 1;
    if (this.#depth > MAX_STACK) throw this.#invalid(`expected at most ${MAX_STACK} values on the stack, found more`);
    this.#below.push(this.#stack);
    this.#stack = [];
  }

  /** What was pushed since the last mark. */
  #popMark(): PickleValue[] {
    const below = this.#below.pop();
    if (below === undefined) throw this.#invalid("expected a mark on the stack, found none");
    const items = this.#stack;
    this.#stack = below;
    this.#depth -= below.length + 1;
    return items;
  }

  #tuple(items: PickleValue[]): void {
    this.#pushContainer(items.length === 0 ? EMPTY_TUPLE : Object.freeze(items));
  }

  #popTuple(count: number): void {
    const items: PickleValue[] = [];
    for (let i = 0; i < count; i++) items.unshift(this.#pop());
    this.#tuple(items);
  }

  #list(): MutableList {
    const list = this.#top();
    if (!Array.isArray(list) || Object.isFrozen(list)) throw this.#invalid("expected a list to append to, found something else");
    return list as MutableList;
  }

  #setItems(items: readonly PickleValue[]): void {
    const dict = this.#top();
    if (!(dict instanceof Map)) throw this.#invalid("expected a dict to set items of, found something else");
    if (items.length % 2 !== 0) throw this.#invalid("expected keys and values in pairs, found one left over");
    for (let i = 0; i < items.length; i += 2) (dict as MutableDict).set(items[i] as PickleValue, items[i + 1] as PickleValue);
  }

  #addItems(items: readonly PickleValue[]): void {
    const set = this.#top();
    if (!(set instanceof Set)) throw this.#invalid("expected a set to add to, found something else");
    for (const item of items) (set as Set<PickleValue>).add(item);
  }

  #get(key: number): void {
    const value = this.#memo.get(key);
    if (value === undefined) throw this.#invalid(`expected memo entry ${key}, found none`);
    this.#push(value);
  }

  #put(key: number): void {
    this.#memo.set(key, this.#top());
    if (this.#memo.size > MAX_MEMO) throw this.#invalid(`expected at most ${MAX_MEMO} memo entries, found more`);
  }

  #memoKey(line: string): number {
    if (!/^\d{1,10}$/.test(line)) throw this.#invalid("expected the number of a memo entry, found something else");
    return Number(line);
  }

  #call(items: PickleValue): void {
    const callee = this.#pop();
    if (!Array.isArray(items)) throw this.#invalid("expected the arguments of a call to be a tuple, found something else");
    this.#pushContainer(this.#world.call(callee, items as readonly PickleValue[]));
  }

  #step({ opcode, argument }: PickleToken): void {
    // The argument's type follows from the opcode (pickle-tokens.ts).
    const handle = HANDLERS[opcode];
    handle(this, argument as never);
  }

  #number(line: string, whole: boolean): PickleValue {
    const text = line.endsWith("L") && whole ? line.slice(0, -1) : line;
    // Python 2 and protocol 0 write booleans as integers with a leading zero.
    if (whole && text === "00") return false;
    if (whole && text === "01") return true;
    if (whole && /^-?\d{1,150}$/.test(text)) {
      const number = Number(text);
      return Number.isSafeInteger(number) ? number : BigInt(text);
    }
    if (!whole && /^[-+]?(?:\d+\.?\d*(?:e[-+]?\d+)?|\.\d+)$/i.test(text)) return Number(text);
    if (!whole && text === "nan") return Number.NaN;
    if (!whole && /^[-+]?inf$/.test(text)) return text.startsWith("-") ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
    throw this.#invalid("expected a number, found other text");
  }

  /** What each opcode does; total, so that a new opcode cannot be forgotten. */
  static readonly handlers: Readonly<Record<Opcode, (machine: PickleMachine, argument: never) => void>> = {
    PROTO: () => undefined,
    FRAME: () => undefined,
    STOP: () => undefined,
    MARK: (m) => m.#mark(),
    POP: (m) => void (m.#stack.length === 0 ? m.#popMark() : m.#pop()),
    POP_MARK: (m) => void m.#popMark(),
    DUP: (m) => m.#push(m.#top()),
    NONE: (m) => m.#push(null),
    NEWTRUE: (m) => m.#push(true),
    NEWFALSE: (m) => m.#push(false),
    INT: (m, line: string) => m.#push(m.#number(line, true)),
    LONG: (m, line: string) => m.#push(m.#number(line, true)),
    FLOAT: (m, line: string) => m.#push(m.#number(line, false)),
    BININT: (m, value: number) => m.#push(value),
    BININT1: (m, value: number) => m.#push(value),
    BININT2: (m, value: number) => m.#push(value),
    LONG1: (m, value: number | bigint) => m.#push(value),
    LONG4: (m, value: number | bigint) => m.#push(value),
    BINFLOAT: (m, value: number) => m.#push(value),
    // The escapes of protocol 0 (\uXXXX) stay as written: no name in a state file has any.
    UNICODE: (m, text: string) => m.#push(text),
    BINUNICODE: (m, text: string) => m.#push(text),
    SHORT_BINUNICODE: (m, text: string) => m.#push(text),
    BINUNICODE8: (m, text: string) => m.#push(text),
    BINSTRING: (m, text: string) => m.#push(text),
    SHORT_BINSTRING: (m, text: string) => m.#push(text),
    BINBYTES: (m, bytes: Uint8Array) => m.#push(bytes),
    SHORT_BINBYTES: (m, bytes: Uint8Array) => m.#push(bytes),
    BINBYTES8: (m, bytes: Uint8Array) => m.#push(bytes),
    BYTEARRAY8: (m, bytes: Uint8Array) => m.#push(bytes),
    EMPTY_TUPLE: (m) => m.#push(EMPTY_TUPLE),
    TUPLE: (m) => m.#tuple(m.#popMark()),
    TUPLE1: (m) => m.#popTuple(1),
    TUPLE2: (m) => m.#popTuple(2),
    TUPLE3: (m) => m.#popTuple(3),
    EMPTY_LIST: (m) => m.#pushContainer([]),
    LIST: (m) => m.#pushContainer(m.#popMark()),
    APPEND: (m) => {
      const item = m.#pop();
      m.#list().push(item);
    },
    APPENDS: (m) => {
      const items = m.#popMark();
      const list = m.#list();
      for (const item of items) list.push(item);
    },
    EMPTY_DICT: (m) => m.#pushContainer(new Map<PickleValue, PickleValue>()),
    DICT: (m) => {
      const items = m.#popMark();
      m.#pushContainer(new Map());
      m.#setItems(items);
    },
    SETITEM: (m) => {
      const value = m.#pop();
      const key = m.#pop();
      m.#setItems([key, value]);
    },
    SETITEMS: (m) => m.#setItems(m.#popMark()),
    EMPTY_SET: (m) => m.#pushContainer(new Set<PickleValue>()),
    ADDITEMS: (m) => m.#addItems(m.#popMark()),
    FROZENSET: (m) => m.#pushContainer(new Set(m.#popMark())),
    GET: (m, line: string) => m.#get(m.#memoKey(line)),
    BINGET: (m, key: number) => m.#get(key),
    LONG_BINGET: (m, key: number) => m.#get(key),
    PUT: (m, line: string) => m.#put(m.#memoKey(line)),
    BINPUT: (m, key: number) => m.#put(key),
    LONG_BINPUT: (m, key: number) => m.#put(key),
    MEMOIZE: (m) => m.#put(m.#memo.size),
    GLOBAL: (m, [module, name]: readonly [string, string]) => m.#pushContainer(m.#world.name(module, name)),
    STACK_GLOBAL: (m) => {
      const name = m.#pop();
      const module = m.#pop();
      if (typeof module !== "string" || typeof name !== "string") throw m.#invalid("expected a module and a name, found other values");
      m.#pushContainer(m.#world.name(module, name));
    },
    REDUCE: (m) => m.#call(m.#pop()),
    NEWOBJ: (m) => m.#call(m.#pop()),
    NEWOBJ_EX: (m) => {
      m.#pop();
      m.#call(m.#pop());
    },
    BUILD: (m) => {
      const state = m.#pop();
      const target = m.#pop();
      m.#push(m.#world.build(target, state));
    },
    PERSID: (m, id: string) => m.#pushContainer(m.#world.persistent(id)),
    BINPERSID: (m) => m.#pushContainer(m.#world.persistent(m.#pop())),
  };
}

const HANDLERS = PickleMachine.handlers;

/**
 * Reads a pickle (protocols 0 to 5) into plain values. Nothing that it names is
 * looked up, built or called: `world` says what stands in its place, or refuses.
 *
 * @throws PICKLE_INVALID, PICKLE_UNSAFE
 */
export function readPickle(bytes: Uint8Array, where: string, world: PickleWorld): PickleValue {
  const value = new PickleMachine(where, world).run(bytes);
  checkNesting(value, where);
  return value;
}
