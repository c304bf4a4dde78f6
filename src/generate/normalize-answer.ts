/**
 * The form in which SQuAD compares texts (Rajpurkar et al. 2016; the official evaluate-v2.0.py): they are
 * lower-cased, ASCII punctuation is taken out, then the articles a, an and the, then white space is made single blanks.
 */

/** Python's string.punctuation. */
const PUNCTUATION = /[!-/:-@[-`{-~]/g;
/** Python's \b lies between letters, digits or _ of any script and the rest; JavaScript's knows ASCII alone. */
const ARTICLE = /(?<![\p{L}\p{N}_])(?:a|an|the)(?![\p{L}\p{N}_])/gu;

/** A text in the form in which answers are compared. */
export function normalizeAnswer(text: string): string {
  return text.toLowerCase().replace(PUNCTUATION, "").replace(ARTICLE, " ").trim().replace(/\s+/g, " ");
}
