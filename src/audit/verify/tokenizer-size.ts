import type { Folder } from "../../core/index.ts";
import { readJson } from "../../formats/index.ts";

const TOKENIZER = "tokenizer.json";

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
export async function readTokenizerSize(folders: readonly Folder[]): Promise<{ file: string; maxId: number } | null> {
  for (const folder of folders) {
    if (!(await folder.list()).includes(TOKENIZER)) continue;
    const source = await folder.open(TOKENIZER);
    const maxId = maxIdIn(await readJson(source));
    return maxId < 0 ? null : { file: source.name, maxId };
  }
  return null;
}
