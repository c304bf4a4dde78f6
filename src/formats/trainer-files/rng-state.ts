import { InternalError } from "../../core/index.ts";
import { pyFloat } from "../python-float.ts";
import { numpyArray, pyTuple, torchTensor, type ValueToSave } from "../torch-write-values.ts";
import { stateOfSeed, stateOfWords } from "./mersenne-twister.ts";

const WORDS = 624;
/** Version of the tuple that `random.getstate()` returns. */
const PYTHON_STATE_VERSION = 3;
/**
 * torch's CPU generator as bytes (`CPUGeneratorImplState`, aten/src/ATen/CPUGeneratorImpl.cpp,
 * little-endian, 64 bits): seed u64 at 0; numbers left i32 at 8; seeded i32 at 12; next u64
 * at 16; 624 words as u64 at 24; then normal numbers kept for later, none here.
 */
const TORCH_STATE_BYTES = 5056;
const TORCH_WORDS_AT = 24;
/** torch's CUDA generator as bytes: seed u64, offset into its stream i64. */
const CUDA_STATE_BYTES = 16;
const MAX_SEED = 2n ** 64n - 1n;

/** A generator of 624 words: where it stands in them, 624 when all are used. */
interface MersenneState {
  readonly words: Uint32Array;
  readonly position: number;
}

/** What Trainer saves of the random number generators. */
export interface TrainerRngState {
  readonly python: MersenneState & { readonly gaussNext: number | null };
  readonly numpy: MersenneState & { readonly hasGauss: boolean; readonly cachedGaussian: number };
  /** Bytes of `torch.get_rng_state()`. */
  readonly torch: Uint8Array;
  /** Bytes of `torch.cuda.get_rng_state()`; none on a machine without a GPU. */
  readonly cuda?: Uint8Array;
}

/**
 * The value of rng_state.pth (one process) for states of the generators.
 *
 * @throws InternalError if a state has another size
 */
export function rngStateOf({ python, numpy, torch, cuda }: TrainerRngState): ValueToSave {
  if (python.words.length !== WORDS || numpy.words.length !== WORDS) throw new InternalError(`a generator has ${WORDS} words`);
  const numpyBytes = new Uint8Array(numpy.words.buffer, numpy.words.byteOffset, numpy.words.byteLength);
  const gaussNext = python.gaussNext === null ? null : pyFloat(python.gaussNext);
  const state = new Map<string, ValueToSave>([
    ["python", pyTuple(PYTHON_STATE_VERSION, pyTuple(...python.words, python.position), gaussNext)],
    [
      "numpy",
      pyTuple("MT19937", numpyArray("u4", [WORDS], numpyBytes), numpy.position, numpy.hasGauss ? 1 : 0, pyFloat(numpy.cachedGaussian)),
    ],
    ["cpu", torchTensor("U8", [TORCH_STATE_BYTES], torch)],
  ]);
  if (cuda !== undefined) state.set("cuda", torchTensor("U8", [CUDA_STATE_BYTES], cuda));
  return state;
}

/** Choices of {@link seededRngState}. */
export interface RngStateOptions {
  /** Whether to seed the GPU's generator as well; a machine without one leaves it unread. @defaultValue false */
  readonly cuda?: boolean;
}

/** The words of a seed as Python's `random.seed` takes them, lowest first. */
function seedWords(seed: bigint): Uint32Array {
  const [low, high] = [Number(seed & 0xffffffffn), Number(seed >> 32n)];
  return high === 0 ? Uint32Array.of(low) : Uint32Array.of(low, high);
}

function torchState(seed: bigint): Uint8Array {
  const bytes = new Uint8Array(TORCH_STATE_BYTES);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, seed, true);
  view.setInt32(8, 1, true);
  view.setInt32(12, 1, true);
  // The generator has 32 bits of seed, though torch remembers all 64.
  for (const [i, word] of stateOfSeed(Number(seed & 0xffffffffn)).entries()) view.setUint32(TORCH_WORDS_AT + 8 * i, word, true);
  return bytes;
}

function cudaState(seed: bigint): Uint8Array {
  const bytes = new Uint8Array(CUDA_STATE_BYTES);
  new DataView(bytes.buffer).setBigUint64(0, seed, true);
  return bytes;
}

/**
 * The value of a rng_state.pth in which every generator stands as `random.seed(seed)`,
 * `numpy.random.seed(seed)` and `torch.manual_seed(seed)` leave it. numpy takes
 * seeds of 32 bits only, so it gets the lower half of a longer one.
 *
 * It is a valid start for Trainer, not a continuation: numbers that
 * another program drew from a generator of its own cannot be handed over.
 *
 * @param seed 0 to 2^64 − 1
 * @throws InternalError for another seed
 */
export function seededRngState(seed: bigint | number, options: RngStateOptions = {}): ValueToSave {
  if (typeof seed === "number" && !Number.isSafeInteger(seed)) throw new InternalError(`${seed} is no seed`);
  const wide = BigInt(seed);
  if (wide < 0n || wide > MAX_SEED) throw new InternalError(`a seed has 64 bits, got ${seed}`);
  return rngStateOf({
    python: { words: stateOfWords(seedWords(wide)), position: WORDS, gaussNext: null },
    numpy: { words: stateOfSeed(Number(wide & 0xffffffffn)), position: WORDS, hasGauss: false, cachedGaussian: 0 },
    torch: torchState(wide),
    ...(options.cuda === true ? { cuda: cudaState(wide) } : {}),
  });
}
