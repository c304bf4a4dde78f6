import type { Folder } from "../../core/index.ts";
import { parseJson } from "../../formats/index.ts";
import type { ModelSpec } from "../../model/index.ts";
import { readCarriedText } from "../carried-files.ts";
import { isValues } from "./refused-tokenizer.ts";

const FILE = "generation_config.json";

/** Names by which llama.cpp (llama-vocab.cpp) knows the end of a turn where no key says it. */
const END_OF_TURN: readonly string[] = [
  "<|eot_id|>",
  "<|im_end|>",
  "<|end|>",
  "<end_of_turn>",
  "<|endoftext|>",
  "<|end_of_text|>",
  "<EOT>",
  "_<EOT>",
  "[EOT]",
  "<｜end▁of▁sentence｜>",
  "<end_of_utterance>",
];
/** The end of a message that a tool is to answer. */
const END_OF_MESSAGE = "<|eom_id|>";

/** All tokens that end an answer: those of generation_config.json, which generation goes by, else of config.json. */
export async function readEndTokens(folder: Folder, spec: ModelSpec): Promise<readonly number[]> {
  if (!(await folder.list()).includes(FILE)) return spec.eosTokenIds;
  const json = parseJson(await readCarriedText(folder, FILE), `${folder.name}/${FILE}`);
  const given = isValues(json) ? json["eos_token_id"] : undefined;
  const ids = (Array.isArray(given) ? (given as readonly unknown[]) : [given]).filter((id) => Number.isInteger(id)) as number[];
  return ids.length === 0 ? spec.eosTokenIds : ids;
}

/** The keys for ends besides EOS. */
export interface OtherEnds {
  readonly eot: number | null;
  readonly eom: number | null;
  /** Ends that no key is left for, and that llama.cpp does not know by their names. */
  readonly untold: readonly number[];
}

/**
 * GGUF has a key for one end of a turn and one for the end of a message; an end of neither name takes the first if it is free.
 *
 * @param ends without EOS
 */
export function otherEnds(ends: readonly number[], tokens: readonly string[]): OtherEnds {
  const known = ends.filter((id) => id >= 0 && id < tokens.length);
  const eom = known.find((id) => tokens[id] === END_OF_MESSAGE) ?? null;
  const rest = known.filter((id) => id !== eom);
  const named = rest.filter((id) => END_OF_TURN.includes(tokens[id] ?? ""));
  const unnamed = rest.filter((id) => !named.includes(id));
  // llama.cpp ends at every token of a known name in any case: the key is worth more to one that it does not know.
  const eot = unnamed[0] ?? named[0] ?? null;
  return { eot, eom, untold: unnamed.filter((id) => id !== eot) };
}
