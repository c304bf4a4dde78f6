// sets: one file per set of vectors; each turns a folder into checks. A new set is one file and
// one line here.
import { join } from "node:path";
import type { Check, VectorSet } from "../check.ts";
import { foldersIn, holdsTensors } from "../files.ts";
import { archChecks } from "./arch-variants.ts";
import { llamaChecks } from "./llama.ts";
import { nf4Checks } from "./nf4.ts";
import { bannerChecks } from "./peft-banners.ts";
import { trainerChecks } from "./trainer.ts";

const SETS: Readonly<Record<string, (folder: string) => Promise<Check[]>>> = {
  nf4: nf4Checks,
  "llama-tiny": llamaChecks,
  "llama-tiny-qlora": llamaChecks,
  "arch-variants": archChecks,
  "hf-trainer-checkpoint": trainerChecks,
  "peft-banners": bannerChecks,
};

/** Every set under a folder: those that are known with their checks, other folders that hold tensors as unsupported. */
export async function findSets(directory: string): Promise<VectorSet[]> {
  const found = foldersIn(directory);
  const known = Object.keys(SETS).filter((name) => found.includes(name));
  const sets: VectorSet[] = [];
  for (const name of known) sets.push({ name, checks: (await SETS[name]?.(join(directory, name))) ?? [] });
  for (const name of found) {
    if (known.includes(name) || !holdsTensors(join(directory, name))) continue;
    const why = `no set of this name is known; known are ${Object.keys(SETS).join(", ")}`;
    sets.push({ name, checks: [{ case: "all", kind: "values", run: () => Promise.resolve({ unsupported: why }) }] });
  }
  return sets;
}
