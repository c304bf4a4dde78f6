// The number that the base has to beat: held-out perplexity of a bigram model on the same tokens.
//
//   node --import ./tools/register-typescript.mjs tools/base/bigram.ts --cache /tmp/heirloom-base --base assets/base [--out FILE]
//
// Interpolated Kneser–Ney with one discount (Chen & Goodman 1999, §2.7), tuned on the last twentieth of the training
// documents, then counted on all of them. Every document is <|bos|> … <|eos|>; all tokens after <|bos|> are predicted.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { loadTokenizer } from "../../src/data/index.ts";

type Documents = readonly Uint16Array[];
/** The probability that `next` follows `previous`. */
type Model = (previous: number, next: number) => number;

interface Counts {
  readonly vocabulary: number;
  /** previous × vocabulary + next → how often. */
  readonly pairs: ReadonlyMap<number, number>;
  readonly unigram: Float64Array;
  readonly contextTokens: Float64Array;
  /** Distinct tokens seen after a token, and before it. */
  readonly followers: Float64Array;
  readonly predecessors: Float64Array;
}

const DISCOUNTS = [0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95];
const TUNING_SHARE = 0.05;

/** The documents of a corpus-*.bin, cut before each <|bos|>. */
function readDocuments(path: string, bos: number): Documents {
  const bytes = readFileSync(path);
  const ids = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2);
  const documents: Uint16Array[] = [];
  let start = 0;
  for (let i = 1; i <= ids.length; i++) {
    if (i < ids.length && ids[i] !== bos) continue;
    documents.push(ids.subarray(start, i));
    start = i;
  }
  return documents;
}

/** Stops unless the tokenizer that training uses gives the very ids that are counted here. */
async function checkTokenization(cache: string, base: string, documents: Documents): Promise<void> {
  const tokenizer = await loadTokenizer(base);
  const lines = readFileSync(join(cache, "corpus-heldout.jsonl"), "utf8").trimEnd().split("\n");
  if (lines.length !== documents.length) throw new Error(`expected ${lines.length} documents, found ${documents.length}`);
  for (const [index, line] of lines.entries()) {
    const { text } = JSON.parse(line) as { text: string };
    const ids = [...tokenizer.encode(text), tokenizer.eosId].join();
    if (ids !== documents[index]?.join()) throw new Error(`corpus-heldout.jsonl row ${index + 1}: the tokenizers disagree`);
  }
}

/** Calls `visit` for each predicted token. */
function eachPair(documents: Documents, visit: (previous: number, next: number) => void): void {
  for (const ids of documents) {
    let previous = ids[0] as number;
    for (const next of ids.subarray(1)) {
      visit(previous, next);
      previous = next;
    }
  }
}

const addTo = (array: Float64Array, index: number, value = 1): void => {
  array[index] = (array[index] as number) + value;
};

function count(documents: Documents, vocabulary: number): Counts {
  const pairs = new Map<number, number>();
  const unigram = new Float64Array(vocabulary);
  const contextTokens = new Float64Array(vocabulary);
  eachPair(documents, (previous, next) => {
    const key = previous * vocabulary + next;
    pairs.set(key, (pairs.get(key) ?? 0) + 1);
    addTo(unigram, next);
    addTo(contextTokens, previous);
  });
  const followers = new Float64Array(vocabulary);
  const predecessors = new Float64Array(vocabulary);
  for (const key of pairs.keys()) {
    addTo(followers, Math.floor(key / vocabulary));
    addTo(predecessors, key % vocabulary);
  }
  return { vocabulary, pairs, unigram, contextTokens, followers, predecessors };
}

/** Mean negative log-likelihood, in nats a token. */
function meanLoss(documents: Documents, probability: Model): { loss: number; tokens: number } {
  let sum = 0;
  let tokens = 0;
  eachPair(documents, (previous, next) => {
    sum -= Math.log(probability(previous, next));
    tokens++;
  });
  return { loss: sum / tokens, tokens };
}

function addOne(counts: Counts): Model {
  const total = counts.unigram.reduce((sum, n) => sum + n, counts.vocabulary);
  return (_, next) => ((counts.unigram[next] as number) + 1) / total;
}

function kneserNey(counts: Counts, discount: number): Model {
  const { vocabulary, pairs, contextTokens, followers, predecessors } = counts;
  // One pseudo-predecessor for each entry of the vocabulary, so that a token never seen in training has a probability.
  const lower = (next: number) => ((predecessors[next] as number) + 1) / (pairs.size + vocabulary);
  return (previous, next) => {
    const total = contextTokens[previous] as number;
    if (total === 0) return lower(next);
    const seen = Math.max(0, (pairs.get(previous * vocabulary + next) ?? 0) - discount);
    return (seen + discount * (followers[previous] as number) * lower(next)) / total;
  };
}

function tuneDiscount(documents: Documents, vocabulary: number): number {
  const cut = Math.floor(documents.length * (1 - TUNING_SHARE));
  const counts = count(documents.slice(0, cut), vocabulary);
  const tuning = documents.slice(cut);
  const tried = DISCOUNTS.map((discount) => ({ discount, loss: meanLoss(tuning, kneserNey(counts, discount)).loss }));
  return tried.reduce((best, next) => (next.loss < best.loss ? next : best)).discount;
}

const { values: flags } = parseArgs({
  options: { cache: { type: "string" }, base: { type: "string" }, out: { type: "string" } },
});
if (!flags.cache || !flags.base) throw new Error("usage: bigram.ts --cache FOLDER --base FOLDER [--out FILE]");
const config = JSON.parse(readFileSync(join(flags.base, "config.json"), "utf8")) as { bos_token_id: number; vocab_size: number };
const train = readDocuments(join(flags.cache, "corpus-train.bin"), config.bos_token_id);
const heldOut = readDocuments(join(flags.cache, "corpus-heldout.bin"), config.bos_token_id);
await checkTokenization(flags.cache, flags.base, heldOut);

const discount = tuneDiscount(train, config.vocab_size);
const counts = count(train, config.vocab_size);
const unigram = meanLoss(heldOut, addOne(counts));
const bigram = meanLoss(heldOut, kneserNey(counts, discount));
const rounded = (value: number) => Number(value.toFixed(4));
const report = {
  predictedTokens: bigram.tokens,
  unigram: { loss: rounded(unigram.loss), perplexity: rounded(Math.exp(unigram.loss)) },
  bigram: { discount, loss: rounded(bigram.loss), perplexity: rounded(Math.exp(bigram.loss)) },
};
const text = `${JSON.stringify(report, null, 2)}\n`;
process.stdout.write(text);
if (flags.out) writeFileSync(flags.out, text);
