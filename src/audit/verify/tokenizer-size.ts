import { access } from "node:fs/promises";
import { join } from "node:path";
import type { OpenFiles } from "../open-path.ts";

const objectOf = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>) : {};

function maxIdIn(json: unknown): number {
  const { model, added_tokens: added } = objectOf(json);
  const vocab = objectOf(model)["vocab"];
  let max = -1;
  const see = (id: unknown): void => {
    if (typeof id === "number" && Number.isSafeInteger(id) && id > max) max = id;
  };
  // Unigram lists its pieces in the order of their ids; the others map each to its id.
  if (Array.isArray(vocab)) see(vocab.length - 1);
  else for (const id of Object.values(objectOf(vocab))) see(id);
  if (Array.isArray(added)) for (const token of added as readonly unknown[]) see(objectOf(token)["id"]);
  return max;
}

/** The largest id of the first tokenizer.json found in the folders; null if there is none, or if it has no ids. */
export async function readTokenizerSize(folders: readonly string[], opened: OpenFiles): Promise<{ file: string; maxId: number } | null> {
  for (const folder of folders) {
    const file = join(folder, "tokenizer.json");
    const exists = await access(file).then(
      () => true,
      () => false,
    );
    if (!exists) continue;
    const maxId = maxIdIn(await opened.json(file));
    return maxId < 0 ? null : { file, maxId };
  }
  return null;
}
