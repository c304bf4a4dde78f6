// The number that the base has to beat: held-out perplexity of a bigram model on the same tokens.
//
//   node tools/base/bigram.mjs --cache /tmp/heirloom-base --base assets/base [--out FILE]
//
// Interpolated Kneser–Ney with one discount (Chen & Goodman 1999, §2.7), tuned on the last twentieth of the training
// documents, then counted on all of them. Every document is <|bos|> … <|eos|>; all tokens after <|bos|> are predicted.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Tokenizer } from "@huggingface/tokenizers";

const DISCOUNTS = [0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95];
const TUNING_SHARE = 0.05;

/** The documents of a corpus-*.bin, cut before each <|bos|>. */
function readDocuments(path, bos) {
  const bytes = readFileSync(path);
  const ids = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2);
  const documents = [];
  let start = 0;
  for (let i = 1; i <= ids.length; i++) {
    if (i < ids.length && ids[i] !== bos) continue;
    documents.push(ids.subarray(start, i));
    start = i;
  }
  return documents;
}

/** Stops unless the JavaScript tokenizer, which training uses, gives the very ids that are counted here. */
function checkTokenization(cache, base, documents) {
  const read = (name) => JSON.parse(readFileSync(join(base, name), "utf8"));
  const tokenizer = new Tokenizer(read("tokenizer.json"), read("tokenizer_config.json"));
  const eos = tokenizer.token_to_id("<|eos|>");
  const lines = readFileSync(join(cache, "corpus-heldout.jsonl"), "utf8").trimEnd().split("\n");
  if (lines.length !== documents.length) throw new Error(`expected ${lines.length} documents, found ${documents.length}`);
  lines.forEach((line, index) => {
    const ids = [...tokenizer.encode(JSON.parse(line).text).ids, eos].join();
    if (ids !== documents[index].join()) throw new Error(`corpus-heldout.jsonl row ${index + 1}: the tokenizers disagree`);
  });
}

function count(documents, vocabulary) {
  const pairs = new Map();
  const unigram = new Float64Array(vocabulary);
  const contextTokens = new Float64Array(vocabulary);
  for (const ids of documents) {
    for (let i = 1; i < ids.length; i++) {
      const key = ids[i - 1] * vocabulary + ids[i];
      pairs.set(key, (pairs.get(key) ?? 0) + 1);
      unigram[ids[i]]++;
      contextTokens[ids[i - 1]]++;
    }
  }
  const followers = new Float64Array(vocabulary); // distinct tokens seen after this one
  const predecessors = new Float64Array(vocabulary); // distinct tokens seen before this one
  for (const key of pairs.keys()) {
    followers[Math.floor(key / vocabulary)]++;
    predecessors[key % vocabulary]++;
  }
  return { vocabulary, pairs, unigram, contextTokens, followers, predecessors };
}

/** Mean negative log-likelihood in nats a token; `probability(previous, next)`. */
function meanLoss(documents, probability) {
  let sum = 0;
  let tokens = 0;
  for (const ids of documents) {
    for (let i = 1; i < ids.length; i++) sum -= Math.log(probability(ids[i - 1], ids[i]));
    tokens += ids.length - 1;
  }
  return { loss: sum / tokens, tokens };
}

function kneserNey(counts, discount) {
  const { vocabulary, pairs, contextTokens, followers, predecessors } = counts;
  // One pseudo-predecessor for each entry of the vocabulary, so that a token never seen in training has a probability.
  const lower = (next) => (predecessors[next] + 1) / (pairs.size + vocabulary);
  return (previous, next) => {
    const total = contextTokens[previous];
    if (total === 0) return lower(next);
    const seen = Math.max(0, (pairs.get(previous * vocabulary + next) ?? 0) - discount);
    return (seen + discount * followers[previous] * lower(next)) / total;
  };
}

function tuneDiscount(documents, vocabulary) {
  const cut = Math.floor(documents.length * (1 - TUNING_SHARE));
  const counts = count(documents.slice(0, cut), vocabulary);
  const tuning = documents.slice(cut);
  const tried = DISCOUNTS.map((discount) => ({ discount, loss: meanLoss(tuning, kneserNey(counts, discount)).loss }));
  return tried.reduce((best, next) => (next.loss < best.loss ? next : best)).discount;
}

const { values: flags } = parseArgs({
  options: { cache: { type: "string" }, base: { type: "string" }, out: { type: "string" } },
});
if (!flags.cache || !flags.base) throw new Error("usage: bigram.mjs --cache FOLDER --base FOLDER [--out FILE]");
const config = JSON.parse(readFileSync(join(flags.base, "config.json"), "utf8"));
const train = readDocuments(join(flags.cache, "corpus-train.bin"), config.bos_token_id);
const heldOut = readDocuments(join(flags.cache, "corpus-heldout.bin"), config.bos_token_id);
checkTokenization(flags.cache, flags.base, heldOut);

const discount = tuneDiscount(train, config.vocab_size);
const counts = count(train, config.vocab_size);
const trainTokens = train.reduce((sum, ids) => sum + ids.length - 1, 0);
const unigram = meanLoss(heldOut, (_, next) => (counts.unigram[next] + 1) / (trainTokens + config.vocab_size));
const bigram = meanLoss(heldOut, kneserNey(counts, discount));
const rounded = (value) => Number(value.toFixed(4));
const report = {
  predictedTokens: bigram.tokens,
  unigram: { loss: rounded(unigram.loss), perplexity: rounded(Math.exp(unigram.loss)) },
  bigram: { discount, loss: rounded(bigram.loss), perplexity: rounded(Math.exp(bigram.loss)) },
};
const text = `${JSON.stringify(report, null, 2)}\n`;
process.stdout.write(text);
if (flags.out) writeFileSync(flags.out, text);
