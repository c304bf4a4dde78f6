import { readPickle } from "./pickle.ts";
import { type PickleValue, type PickleWorld, PythonName, PythonObject } from "./pickle-values.ts";

/** What a pickled Python object says of itself, with nothing of it built. */
export interface ScannedObject {
  /** `transformers.training_args.TrainingArguments`. */
  readonly className: string;
  /** Its plain fields; an enumeration's member counts as its value. */
  readonly fields: ReadonlyMap<string, string | number | boolean | null>;
}

/** Writes every name and call down; refuses nothing, since nothing is looked up. */
const INERT_WORLD: PickleWorld = {
  name: (module, name) => new PythonName(module, name),
  call: (callee, args) => new PythonObject(callee, args),
  build(target, state) {
    if (target instanceof PythonObject) target.state = state;
    return target;
  },
  persistent: (id) => new PythonObject(null, [id]),
};

const isPlain = (value: PickleValue | undefined): value is string | number | boolean | null =>
  value === null || typeof value === "string" || typeof value === "number" || typeof value === "boolean";

/** The value itself, or that of an enumeration's member: a call of its class with one plain argument. */
function plainValue(value: PickleValue): string | number | boolean | null | undefined {
  if (isPlain(value)) return value;
  if (!(value instanceof PythonObject) || value.args.length !== 1 || value.state !== null) return undefined;
  const [only] = value.args;
  return isPlain(only) ? only : undefined;
}

/**
 * The class and the plain fields of a pickled object; null if the pickle is something else.
 *
 * @throws PICKLE_INVALID, PICKLE_UNSAFE
 */
export function scanPickle(bytes: Uint8Array, where: string): ScannedObject | null {
  const value = readPickle(bytes, where, INERT_WORLD);
  if (!(value instanceof PythonObject) || !(value.callee instanceof PythonName)) return null;
  const fields = new Map<string, string | number | boolean | null>();
  if (value.state instanceof Map) {
    for (const [key, field] of value.state as ReadonlyMap<PickleValue, PickleValue>) {
      const plain = plainValue(field);
      if (typeof key === "string" && plain !== undefined) fields.set(key, plain);
    }
  }
  // copyreg's ways to make an object name its class as the first argument.
  const [first] = value.args;
  const made = value.callee.module === "copyreg" || value.callee.module === "copy_reg";
  return { className: made && first instanceof PythonName ? first.path : value.callee.path, fields };
}
