import { basename, dirname, join } from "node:path";
import { keptAside } from "./layout.ts";
import type { ParentRecord } from "./record.ts";
import { hashWeightsAt } from "./result.ts";
import { comparedFiles, judged, presence, type Verdict } from "./verdict.ts";

/** What became of the adapter that a run continued. */
export interface FoundParent extends Verdict {
  /** Folder that holds it: where it was, or where the same bytes are found; where it was, if they are found nowhere. */
  readonly adapter: string;
}

/** Places that the adapter may have gone to: the run's folder moved with its store, or the run went on and set it aside. */
async function otherPlaces(folder: string, parent: ParentRecord): Promise<string[]> {
  const beside = parent.run === null ? [] : [join(dirname(folder), parent.run, basename(parent.adapter))];
  const places = [parent.adapter, ...beside];
  const aside = await Promise.all(places.map(keptAside));
  return [...new Set([...beside, ...aside.flat()])].filter((place) => place !== parent.adapter);
}

/**
 * Finds the adapter that a run continued, as what it was then: by its bytes.
 *
 * @param folder of the run
 */
export async function findParent(folder: string, parent: ParentRecord): Promise<FoundParent> {
  const { adapter, files } = parent;
  if (adapter.includes("://")) return { adapter, ...(await presence(adapter)) };
  if (files === null) {
    const { state, found } = await presence(adapter);
    return { adapter, state: state === "missing" ? state : "unrecorded", found };
  }
  const compared = (place: string): Promise<Verdict> => judged(async () => comparedFiles(files, await hashWeightsAt(place)));
  const here = await compared(adapter);
  if (here.state === "ok") return { adapter, ...here };
  for (const place of await otherPlaces(folder, parent)) {
    if ((await compared(place)).state === "ok") return { adapter: place, state: "moved", found: `the same bytes in ${place}` };
  }
  return { adapter, ...here };
}
