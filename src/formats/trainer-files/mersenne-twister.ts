/*
 * Seeding of MT19937 (Matsumoto and Nishimura, 2002), which Python, numpy's legacy
 * generator and torch's CPU generator share. Only the state after seeding is made here;
 * no numbers are drawn.
 */
const WORDS = 624;
const MULTIPLIER = 1812433253;
const ARRAY_SEED = 19650218;
const MIX_MULTIPLIER = 1664525;
const FINAL_MULTIPLIER = 1566083941;

/** `init_genrand`: the state for a seed of 32 bits (torch.manual_seed, numpy.random.seed). */
export function stateOfSeed(seed: number): Uint32Array {
  const state = new Uint32Array(WORDS);
  state[0] = seed;
  for (let i = 1; i < WORDS; i++) {
    const before = state[i - 1] as number;
    state[i] = Math.imul(MULTIPLIER, before ^ (before >>> 30)) + i;
  }
  return state;
}

/** `init_by_array`: the state for several words (Python's random.seed). */
export function stateOfWords(key: Uint32Array): Uint32Array {
  const state = stateOfSeed(ARRAY_SEED);
  let at = 1;
  const mix = (multiplier: number, added: number, rounds: number, next: (round: number) => number): void => {
    for (let round = 0; round < rounds; round++) {
      const before = state[at - 1] as number;
      const mixed = (state[at] as number) ^ Math.imul(before ^ (before >>> 30), multiplier);
      state[at] = mixed + added * at + next(round);
      if (++at === WORDS) {
        state[0] = state[WORDS - 1] as number;
        at = 1;
      }
    }
  };
  mix(MIX_MULTIPLIER, 0, Math.max(WORDS, key.length), (round) => (key[round % key.length] as number) + (round % key.length));
  mix(FINAL_MULTIPLIER, -1, WORDS - 1, () => 0);
  state[0] = 0x80000000;
  return state;
}
