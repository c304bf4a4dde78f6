/**
 * Philox 4x32-10 (Salmon et al., SC'11): a counter-based generator. The same
 * key and counter always give the same numbers, so any position of a stream can
 * be had without its predecessors, and nothing needs to be saved for a resume.
 */
const MULTIPLIER_0 = 0xd2511f53;
const MULTIPLIER_1 = 0xcd9e8d57;
const WEYL_0 = 0x9e3779b9;
const WEYL_1 = 0xbb67ae85;
const ROUNDS = 10;

function highProduct(a: number, b: number): number {
  const a0 = a & 0xffff;
  const a1 = a >>> 16;
  const b0 = b & 0xffff;
  const b1 = b >>> 16;
  const middle = a1 * b0 + ((a0 * b0) >>> 16);
  const cross = a0 * b1 + (middle & 0xffff);
  return (a1 * b1 + Math.floor(middle / 65536) + Math.floor(cross / 65536)) >>> 0;
}

/** Writes the four 32-bit words of counter (c0, c1, c2, c3) under key (k0, k1) into `out[at..at+3]`. */
export function philox(c0: number, c1: number, c2: number, c3: number, k0: number, k1: number, out: Uint32Array, at = 0): void {
  for (let round = 0; round < ROUNDS; round++) {
    const high0 = highProduct(MULTIPLIER_0, c0 >>> 0);
    const low0 = Math.imul(MULTIPLIER_0, c0);
    const high1 = highProduct(MULTIPLIER_1, c2 >>> 0);
    const low1 = Math.imul(MULTIPLIER_1, c2);
    c0 = high1 ^ c1 ^ k0;
    c1 = low1;
    c2 = high0 ^ c3 ^ k1;
    c3 = low0;
    k0 = (k0 + WEYL_0) | 0;
    k1 = (k1 + WEYL_1) | 0;
  }
  out[at] = c0;
  out[at + 1] = c1;
  out[at + 2] = c2;
  out[at + 3] = c3;
}

/** FNV-1a over the UTF-16 units of `text`: turns a stream's name into a key word. */
export function nameKey(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}

/** A named, seeded stream of random numbers with an exact, settable position. */
export class RandomStream {
  readonly #key: number;
  readonly #seed: number;
  readonly #words = new Uint32Array(4);
  #position = 0;

  /** @param seed whole number, 0 to 2^32 − 1; @param name tells streams of one seed apart. */
  constructor(seed: number, name: string) {
    this.#seed = seed >>> 0;
    this.#key = nameKey(name);
  }

  /** How many 32-bit words have been drawn. */
  get position(): number {
    return this.#position;
  }

  set position(words: number) {
    this.#position = words;
    this.#fill();
  }

  #fill(): void {
    const block = Math.floor(this.#position / 4);
    philox(block >>> 0, Math.floor(block / 2 ** 32), 0, 0, this.#seed, this.#key, this.#words);
  }

  /** A uniform 32-bit word. */
  nextUint32(): number {
    const lane = this.#position % 4;
    if (lane === 0) this.#fill();
    this.#position++;
    return this.#words[lane] as number;
  }

  /** Uniform in [0, 1) with 53 random bits. */
  nextFloat(): number {
    const high = this.nextUint32() >>> 5;
    const low = this.nextUint32() >>> 6;
    return (high * 67108864 + low) / 9007199254740992;
  }

  /** Uniform whole number in [0, bound). */
  nextInt(bound: number): number {
    return Math.floor(this.nextFloat() * bound);
  }

  /** Standard normal (Box–Muller). */
  nextNormal(): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.nextFloat()));
    return radius * Math.cos(2 * Math.PI * this.nextFloat());
  }
}

/** The numbers 0 … count−1 in a random order (Fisher–Yates) that depends only on seed and name. */
export function shuffledIndices(count: number, seed: number, name: string): Uint32Array {
  const stream = new RandomStream(seed, name);
  const order = Uint32Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = stream.nextInt(i + 1);
    const swapped = order[i] as number;
    order[i] = order[j] as number;
    order[j] = swapped;
  }
  return order;
}
