import type { ExportEvent } from "../export/index.ts";
import type { Progress } from "./terminal/index.ts";

/** A note at most this often: what is done in less has nothing to tell. */
const INTERVAL_MS = 5_000;

/** Tells on stderr how far an export has come. */
export function exportNotes(progress: Progress): (event: ExportEvent) => void {
  let told = performance.now();
  return ({ phase, done, total }) => {
    const now = performance.now();
    if (now - told < INTERVAL_MS) return;
    told = now;
    progress.note(`${phase}: ${done} of ${total}`);
  };
}
