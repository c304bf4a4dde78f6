import { join } from "node:path";
import { type Folder, readAll } from "../core/index.ts";
import { writeFileAtomic } from "../core/node/index.ts";

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

async function copyFiles(from: Folder, names: readonly string[], to: string): Promise<string[]> {
  const present = new Set(await from.list());
  const copied = names.filter((name) => present.has(name));
  for (const name of copied) await writeFileAtomic(join(to, name), [await readAll(await from.open(name))]);
  return copied;
}

/**
 * Copies what a model folder has beside its weights. A tokenizer that lies with the adapter is the one that it was
 * trained with, chat template included, and goes before the base's.
 *
 * @returns names of the files, and the folder that the tokenizer came from; null if there is none
 */
export async function carryFiles(
  base: Folder,
  adapter: Folder | null,
  to: string,
): Promise<{ readonly files: readonly string[]; readonly tokenizer: string | null }> {
  const own = adapter !== null && (await adapter.list()).includes("tokenizer.json") ? adapter : base;
  const tokenizer = await copyFiles(own, TOKENIZER_FILES, to);
  const others = await copyFiles(base, MODEL_FILES, to);
  return { files: [...tokenizer, ...others], tokenizer: tokenizer.includes("tokenizer.json") ? own.name : null };
}
