import { type RunEvent, readEventsIfAny } from "./read-events.ts";

/** Something that a run had otherwise from where it was resumed on. */
export interface RunChange {
  /** The last update before it. */
  readonly fromStep: number;
  /** Dotted key of run.yaml. */
  readonly key: string;
  readonly value: unknown;
}

interface NamedChange {
  readonly fromStep: number;
  /** `training.steps=200`: the value is JSON. */
  readonly text: string;
}

function parsedValue(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text; // of a damaged line: shown as it is
  }
}

/** What was changed while a run went on, in order; its record says what it began with. */
export function changesOf(events: readonly RunEvent[]): RunChange[] {
  let named: NamedChange[] = [];
  for (const { type, fromStep, changes } of events) {
    if (type !== "resumed" || !Array.isArray(changes)) continue;
    const before = named;
    // Each line has all changes so far; those of a branch that was left are not among them.
    named = changes.map(String).map((text, index) => {
      const same = before[index];
      return same?.text === text ? same : { fromStep: Number(fromStep), text };
    });
  }
  return named.map(({ fromStep, text }) => {
    const [key = ""] = text.split("=", 1);
    return { fromStep, key, value: parsedValue(text.slice(key.length + 1)) };
  });
}

/** As {@link changesOf}, of a run's folder; none if nothing happened in it yet. @throws RECORD_INVALID */
export async function readChanges(run: string): Promise<RunChange[]> {
  return changesOf((await readEventsIfAny(run))?.events ?? []);
}

/** Where a changed value counts, in words. */
export function changeText({ fromStep, value }: RunChange): string {
  return `${JSON.stringify(value)} from update ${fromStep + 1} on`;
}
