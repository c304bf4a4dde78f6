// Texts that a SentencePiece vocabulary may be split in two ways on: mixed ones, random ones, and repetitions, in which a token can
// lie over itself.
import { RandomStream } from "../../src/core/index.ts";
import { MIXED_TEXTS, randomText } from "../real-model/texts.ts";

const SEED = 31;
/** Fragments whose repetitions overlap: letters and syllables of English, spaces, line ends, characters without a token, control tokens. */
const FRAGMENTS = [
  "a",
  "b",
  "aa",
  "ab",
  "ba",
  "e",
  "th",
  "the",
  "he",
  "in",
  "ing",
  "g",
  "s",
  " ",
  " ",
  "  ",
  "\n",
  "\t",
  "0",
  "1",
  "é",
  "世",
  "界",
  "😀",
  "\u2581",
  "</s>",
  "<s>",
  "<unk>",
  "<0x41>",
];

/** llama.cpp hands texts over as C strings. */
const beforeNul = (text: string): string => text.split("\u0000")[0] as string;

/** The same texts for the same count. */
export function tokenizerTexts(count: number): string[] {
  const stream = new RandomStream(SEED, "tokenizer texts");
  const below = (n: number): number => stream.nextInt(n);
  const random = Array.from({ length: count }, (_, i) => {
    if (i % 2 === 0) return randomText(below);
    // A handful of fragments each: repetitions are long.
    const own = Array.from({ length: 1 + below(4) }, () => FRAGMENTS[below(FRAGMENTS.length)] as string);
    return Array.from({ length: 1 + below(24) }, () => own[below(own.length)] as string).join("");
  });
  return [...MIXED_TEXTS, MIXED_TEXTS.join("\n"), ...random].map(beforeNul);
}
