import type { Span } from "./chat-template.ts";
import type { Tokenizer } from "./tokenizer.ts";

export interface TrainedTokens {
  /** 1 for each token that holds a character of a span, else 0. */
  readonly mask: Uint8Array;
  /** How many ends of spans fall inside a token, which then is trained although part of it lies outside. */
  readonly insideToken: number;
}

interface Boundary {
  /** The token that holds the character after the boundary. */
  readonly token: number;
  readonly inside: boolean;
}

/** Boundaries by the bytes that each token stands for; null where they do not add up (text was normalized). */
function byBytes(tokenizer: Tokenizer, text: string, ids: readonly number[], at: readonly number[]): Boundary[] | null {
  const starts = new Uint32Array(ids.length + 1);
  for (const [i, id] of ids.entries()) {
    const bytes = tokenizer.byteLength(id);
    if (bytes === null) return null;
    starts[i + 1] = (starts[i] as number) + bytes;
  }
  const utf8 = new TextEncoder();
  if (utf8.encode(text).length !== starts[ids.length]) return null;
  let characters = 0;
  let bytes = 0;
  let token = 0;
  return at.map((position) => {
    bytes += utf8.encode(text.slice(characters, position)).length;
    characters = position;
    while (token < ids.length && (starts[token + 1] as number) <= bytes) token++;
    return { token, inside: starts[token] !== bytes };
  });
}

/** Boundaries by encoding the text up to each: exact where those ids begin the ids of the whole. */
function byPrefixes(tokenizer: Tokenizer, text: string, ids: readonly number[], at: readonly number[]): Boundary[] {
  return at.map((position) => {
    const prefix = tokenizer.encode(text.slice(0, position), { addSpecialTokens: false });
    let token = 0;
    while (token < prefix.length && prefix[token] === ids[token]) token++;
    return { token, inside: token < prefix.length };
  });
}

/**
 * Which tokens of an encoded text are trained: those that hold at least one character of a span. This is the rule of
 * transformers' assistant mask, also where a token reaches over the end of a span.
 *
 * @param ids `text` encoded without special tokens around it
 * @param spans ascending, not overlapping
 */
export function trainedTokens(tokenizer: Tokenizer, text: string, ids: readonly number[], spans: readonly Span[]): TrainedTokens {
  const mask = new Uint8Array(ids.length);
  const positions = spans.flatMap(({ start, end }) => [start, end]);
  const boundaries = byBytes(tokenizer, text, ids, positions) ?? byPrefixes(tokenizer, text, ids, positions);
  let insideToken = 0;
  for (let i = 0; i < boundaries.length; i += 2) {
    const first = boundaries[i] as Boundary;
    const last = boundaries[i + 1] as Boundary;
    mask.fill(1, first.token, last.token + (last.inside ? 1 : 0));
    insideToken += Number(first.inside) + Number(last.inside);
  }
  return { mask, insideToken };
}
