import { isHeirloomError } from "../core/index.ts";
import type { Session } from "./command.ts";
import { paint } from "./terminal/index.ts";

/** Waits for a run. One whose gates failed ends with an error: what it measured before and after is shown ahead of that. */
export async function withMeasures<T>({ stream }: Pick<Session, "stream">, run: Promise<T>): Promise<T> {
  try {
    return await run;
  } catch (error) {
    const folder = isHeirloomError(error) && error.code === "GATE_FAILED" ? error.details["run"] : null;
    if (typeof folder === "string") {
      const [{ readRunResult }, { measuresText }] = await Promise.all([import("../runs/index.ts"), import("./views/training.ts")]);
      const measures = (await readRunResult(folder))?.measures;
      if (measures !== undefined) stream(`${measuresText(measures, paint(false))}\n`);
    }
    throw error;
  }
}
