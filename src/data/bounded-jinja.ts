import { Environment, Interpreter, type Template } from "@huggingface/jinja";
import { HeirloomError } from "../core/index.ts";

/** As Jinja's own sandbox, in which transformers renders (`MAX_RANGE`). */
const MAX_RANGE = 100_000;
/**
 * Expressions and statements of one rendering, with the elements of the lists that they make: some seconds. A chat of
 * 10,000 turns in the longest templates that are about (200 steps a turn) needs less than half.
 */
const MAX_STEPS = 5_000_000;
/** Of one iteration of a loop, which makes a scope and a dozen values: 20 µs where loops are nested, an expression about 1 µs. */
const STEPS_PER_ITERATION = 20;
/** Characters of one text: as many as the bytes that a row may have. */
const MAX_TEXT = 64 * 1024 * 1024;

/** What is used here of the library's nodes, values and interpreter; its own declarations cannot be resolved. */
interface Node {
  readonly type: string;
  readonly iterable?: Node;
  readonly lhs?: Node;
}
interface Value {
  readonly type: string;
  readonly value: unknown;
}
interface Scope {
  set(name: string, value: unknown): unknown;
}
const BaseEnvironment = Environment as unknown as new () => Scope;
const BaseInterpreter = Interpreter as unknown as new (
  environment: Scope,
) => {
  evaluate(node: Node | null | undefined, environment: Scope): Value;
  run(program: Node): Value;
};

function refuse(reason: string): never {
  throw new HeirloomError("CHAT_TEMPLATE_INVALID", reason);
}

/** Only these make lists; a name or a member gives one that is there. */
const MAKES_LISTS: ReadonlySet<string> = new Set(["BinaryExpression", "CallExpression", "FilterExpression", "SelectExpression"]);

/** Ends what a template of a stranger would do for ever, or until memory is full. */
class BoundedInterpreter extends BaseInterpreter {
  #steps = 0;
  readonly #iterables = new Set<Node>();

  override evaluate(node: Node | null | undefined, environment: Scope): Value {
    this.#count(1);
    // The list of a loop is evaluated next; each of its elements is an iteration.
    if (node?.type === "For" && node.iterable !== undefined) this.#iterables.add(node.iterable.lhs ?? node.iterable);
    const result = super.evaluate(node, environment);
    const { type, value } = result;
    if (type === "StringValue" && String(value).length > MAX_TEXT) refuse(`it makes a text of more than ${MAX_TEXT} characters`);
    if (type === "ArrayValue" && node && Array.isArray(value)) {
      if (this.#iterables.has(node)) this.#count(STEPS_PER_ITERATION * value.length);
      else if (MAKES_LISTS.has(node.type)) this.#count(value.length);
    }
    return result;
  }

  #count(steps: number): void {
    this.#steps += steps;
    if (this.#steps > MAX_STEPS) refuse(`it takes more than ${MAX_STEPS} steps`);
  }
}

function range(start: number, stop?: number, step = 1): number[] {
  const [from, to] = stop === undefined ? [0, start] : [start, stop];
  if (step === 0) refuse("range() with a step of 0");
  const count = Math.max(0, Math.ceil((to - from) / step));
  if (count > MAX_RANGE) refuse(`range() over more than ${MAX_RANGE} numbers`);
  return Array.from({ length: count }, (_, i) => from + i * step);
}

/**
 * Renders a compiled template with Jinja's constants, `range` and `raise_exception` besides the variables, within limits.
 * @throws CHAT_TEMPLATE_INVALID for a template that exceeds them; whatever the template throws
 */
export function renderBounded(template: Template, variables: Readonly<Record<string, unknown>>): string {
  const environment = new BaseEnvironment();
  const globals = {
    ...{ true: true, false: false, none: null, True: true, False: false, None: null },
    raise_exception: refuse,
    range,
  };
  for (const [name, value] of Object.entries(globals)) environment.set(name, value);
  for (const [name, value] of Object.entries(variables)) environment.set(name, value);
  const program: unknown = template.parsed;
  return String(new BoundedInterpreter(environment).run(program as Node).value);
}
