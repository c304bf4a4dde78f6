import type { EarlyStoppingConfig } from "../../config/index.ts";

/** What early stopping remembers: a checkpoint keeps it, so that a resumed run stops where it would have. */
export interface StoppingState {
  /** The loss that a better one is held against; null before the first evaluation. */
  readonly best: number | null;
  /** Evaluations in a row without a better one. */
  readonly waited: number;
}

/** Counts evaluations that bring no better loss. The one before the first update does not count, as in transformers and Keras. */
export class EarlyStopping {
  readonly #config: EarlyStoppingConfig;
  #state: StoppingState;

  constructor(config: EarlyStoppingConfig, state: StoppingState = { best: null, waited: 0 }) {
    this.#config = config;
    this.#state = state;
  }

  get state(): StoppingState {
    return this.#state;
  }

  get isDone(): boolean {
    return this.#state.waited >= this.#config.patience;
  }

  /** Takes the next evaluation of the watched set. */
  note(loss: number): void {
    const { best, waited } = this.#state;
    this.#state = best === null || loss < best - this.#config.minDelta ? { best: loss, waited: 0 } : { best, waited: waited + 1 };
  }
}
