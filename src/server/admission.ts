import { setMaxListeners } from "node:events";
import { ApiError } from "./api-error.ts";

/** Seconds until a refused client asks again: a slot is freed whenever an answer ends, which takes seconds. */
const RETRY_AFTER_SECONDS = 1;

/** A request that was let in. */
export interface Admitted {
  /** Set off when the client hangs up, the answer fails or the server stops. */
  readonly signal: AbortSignal;
  abort(): void;
  /** Makes room for others; more calls do nothing. */
  leave(): void;
}

/** How many completions there are at once: as many as run, and a queue of those that wait for a slot. */
export class Admission {
  readonly slots: number;
  readonly #capacity: number;
  readonly #inside = new Map<AbortController, number>();

  constructor(slots: number, maxQueue: number) {
    this.slots = slots;
    this.#capacity = slots + maxQueue;
  }

  /** Completions that run or wait. */
  get taken(): number {
    return [...this.#inside.values()].reduce((sum, count) => sum + count, 0);
  }

  /**
   * Lets a request of `count` completions in.
   *
   * @param client set off when the client hangs up
   * @throws ApiError 429 if the queue is full
   */
  enter(count: number, client: AbortSignal): Admitted {
    if (count > this.#capacity)
      throw new ApiError(400, "invalid_value", `expected at most ${this.#capacity} completions in one request, found ${count}`, {
        param: "n",
      });
    if (this.taken + count > this.#capacity) {
      throw new ApiError(429, "rate_limit_exceeded", `the queue is full: ${this.taken} completions run or wait`, {
        headers: { "retry-after": String(RETRY_AFTER_SECONDS) },
      });
    }
    const controller = new AbortController();
    setMaxListeners(0, controller.signal); // every choice listens
    const abort = (): void => controller.abort();
    this.#inside.set(controller, count);
    client.addEventListener("abort", abort);
    if (client.aborted) abort();
    return {
      signal: controller.signal,
      abort,
      leave: () => {
        client.removeEventListener("abort", abort);
        this.#inside.delete(controller);
      },
    };
  }

  /** Ends everything that runs or waits. */
  abortAll(): void {
    for (const controller of this.#inside.keys()) controller.abort();
  }
}
