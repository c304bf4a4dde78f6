import { type ByteSource, type Folder, HeirloomError, readText } from "../core/index.ts";
import { openFolder } from "../core/node/index.ts";
import { readJson } from "../formats/index.ts";
import { createTokenizer, isMissing, type Tokenizer, type TokenizerFiles } from "./tokenizer.ts";

async function optional<T>(
  folder: Folder,
  file: string,
  read: (source: Awaited<ReturnType<Folder["open"]>>) => Promise<T>,
): Promise<T | undefined> {
  try {
    return await read(await folder.open(file));
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** Nobody types this path: a model that came without its tokenizer is no typing error. */
async function openTokenizer(folder: Folder): Promise<ByteSource> {
  try {
    return await folder.open("tokenizer.json");
  } catch (error) {
    if (!isMissing(error)) throw error;
    throw new HeirloomError("FILE_MISSING", "the base has no tokenizer.json, and its rows and prompts are read with that", {
      where: `${folder.name}/tokenizer.json`,
      hint: "put the tokenizer's files beside the base's weights (tokenizer.json, tokenizer_config.json), as its model came with them",
      cause: error,
    });
  }
}

async function readFiles(folder: Folder): Promise<TokenizerFiles> {
  const tokenizer = await readJson(await openTokenizer(folder));
  const config = await optional(folder, "tokenizer_config.json", (source) => readJson(source));
  const specialTokensMap = await optional(folder, "special_tokens_map.json", (source) => readJson(source));
  const chatTemplate = await optional(folder, "chat_template.jinja", readText);
  return { tokenizer, config, specialTokensMap, ...(chatTemplate === undefined ? {} : { chatTemplate }) };
}

/**
 * Loads the tokenizer of a model folder: tokenizer.json and, where they are there, tokenizer_config.json,
 * special_tokens_map.json and chat_template.jinja. Ids equal those of Hugging Face's Rust library
 * (vectors/tokenizers has the comparison).
 *
 * @throws FILE_MISSING without tokenizer.json; JSON_INVALID or LFS_POINTER for unreadable files; TOKENIZER_INVALID with
 * every reason why the tokenizer cannot be used.
 * @example
 * const tokenizer = await loadTokenizer("models/SmolLM2-135M");
 * const ids = tokenizer.encode("¾ of it");
 */
export async function loadTokenizer(folder: string | Folder): Promise<Tokenizer> {
  // The Hugging Face cache keeps model folders as links into a store beside them.
  const opened = typeof folder === "string" ? await openFolder(folder, { followLinks: true }) : undefined;
  const source = opened ?? (folder as Folder);
  try {
    return createTokenizer(await readFiles(source), `${source.name}/tokenizer.json`);
  } finally {
    await opened?.close();
  }
}
