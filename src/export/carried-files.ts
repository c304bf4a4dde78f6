import { join } from "node:path";
import { type Folder, readAll, readText } from "../core/index.ts";
import { openFolder, writeFileAtomic } from "../core/node/index.ts";

/** What a tokenizer is read from; all of them belong together, so they are taken from one folder. */
const TOKENIZER_FILES: readonly string[] = [
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "added_tokens.json",
  "vocab.json",
  "merges.txt",
  "tokenizer.model",
  "chat_template.jinja",
  "chat_template.json",
];
/** What a base model says besides its weights and configuration. */
const MODEL_FILES: readonly string[] = ["generation_config.json", "LICENSE", "LICENSE.txt", "NOTICE"];

/**
 * Links to weights are followed when a model is opened, because users lay them. What is copied is read through this one: the
 * folder may be a stranger's, and what its links lead to outside of it would be published with the output.
 */
async function withinFolder<T>(path: string, use: (folder: Folder) => Promise<T>): Promise<T> {
  const folder = await openFolder(path);
  try {
    return await use(folder);
  } finally {
    await folder.close();
  }
}

function copyFiles(from: Folder, names: readonly string[], to: string): Promise<string[]> {
  return withinFolder(from.name, async (folder) => {
    const present = new Set(await folder.list());
    const copied = names.filter((name) => present.has(name));
    for (const name of copied) await writeFileAtomic(join(to, name), [await readAll(await folder.open(name))]);
    return copied;
  });
}

/** Text of a file that goes, edited, into the output. @throws FILE_UNREADABLE for a link that leads out of the folder */
export function readCarriedText(from: Folder, name: string): Promise<string> {
  return withinFolder(from.name, async (folder) => readText(await folder.open(name)));
}

/** A tokenizer that lies with the adapter is the one that it was trained with, chat template included, and goes before the base's. */
export async function tokenizerFolderOf(base: Folder, adapter: Folder | null): Promise<Folder> {
  return adapter !== null && (await adapter.list()).includes("tokenizer.json") ? adapter : base;
}

/**
 * Copies what a model folder has beside its weights.
 *
 * @returns names of the files, and the folder that the tokenizer came from; null if there is none
 * @throws FILE_UNREADABLE for a link that leads out of the folder
 */
export async function carryFiles(
  base: Folder,
  adapter: Folder | null,
  to: string,
): Promise<{ readonly files: readonly string[]; readonly tokenizer: string | null }> {
  const own = await tokenizerFolderOf(base, adapter);
  const tokenizer = await copyFiles(own, TOKENIZER_FILES, to);
  const others = await copyFiles(base, MODEL_FILES, to);
  return { files: [...tokenizer, ...others], tokenizer: tokenizer.includes("tokenizer.json") ? own.name : null };
}
