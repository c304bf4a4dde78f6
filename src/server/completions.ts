import { InternalError } from "../core/index.ts";
import type { CompletionEvent, GenerationEngine } from "../generate/index.ts";
import type { Admitted } from "./admission.ts";
import { ApiError } from "./api-error.ts";
import type { Job } from "./job.ts";

type Events = AsyncIterator<CompletionEvent, unknown>;

/** An event of one of a request's choices. */
export interface ChoiceEvent {
  readonly index: number;
  readonly event: Exclude<CompletionEvent, { type: "start" }>;
}

/** Refuses more tokens than there is room for, rather than to stop short of what was asked. */
function checkRoom({ asked, format }: Job, promptTokens: number, contextLength: number): void {
  if (asked === null || promptTokens + asked.tokens <= contextLength) return;
  throw new ApiError(
    400,
    "context_length_exceeded",
    `this model's context is ${contextLength} tokens, and ${promptTokens + asked.tokens} were asked for: ${promptTokens} in ${format.promptParam}, ${asked.tokens} as ${asked.param}`,
    { param: asked.param },
  );
}

/** All choices of a request, side by side. */
export class Completions {
  /** Tokens of all prompts, each counted once. */
  readonly promptTokens: number;
  readonly #iterators: readonly Events[];
  readonly #admitted: Admitted;

  private constructor(iterators: readonly Events[], promptTokens: number, admitted: Admitted) {
    this.#iterators = iterators;
    this.promptTokens = promptTokens;
    this.#admitted = admitted;
  }

  /**
   * Hands the choices to the engine and waits until it has accepted all of them, so that what it refuses is refused
   * before an answer begins.
   *
   * @throws what the engine throws; ApiError if there is no room for the tokens that are asked for
   */
  static async begin(engine: GenerationEngine, job: Job, contextLength: number, admitted: Admitted): Promise<Completions> {
    const iterators = job.requests.map((request) => engine.complete(request, admitted.signal)[Symbol.asyncIterator]());
    try {
      const firsts = await Promise.all(iterators.map((iterator) => iterator.next()));
      const counts = firsts.map((first): number => {
        const event = first.done === true ? undefined : first.value;
        if (event?.type !== "start")
          throw new InternalError(`expected a completion to begin with "start", found ${event?.type ?? "its end"}`);
        return event.promptTokens;
      });
      for (const count of counts) checkRoom(job, count, contextLength);
      const promptTokens = counts.filter((_, i) => i % job.choicesPerPrompt === 0).reduce((sum, count) => sum + count, 0);
      return new Completions(iterators, promptTokens, admitted);
    } catch (error) {
      await end(iterators, admitted);
      throw error;
    }
  }

  /** What comes, as it comes; leaving the loop ends all choices. */
  async *events(): AsyncGenerator<ChoiceEvent, void> {
    const next = (index: number, iterator: Events) => {
      const coming = iterator.next().then((result) => ({ index, iterator, result }));
      coming.catch(() => undefined); // told by the race that it takes part in, if the loop still runs
      return coming;
    };
    const pending = new Map(this.#iterators.map((iterator, index) => [index, next(index, iterator)]));
    try {
      while (pending.size > 0) {
        const { index, iterator, result } = await Promise.race(pending.values());
        if (result.done === true) throw new InternalError('expected a completion to end with "done", found its end');
        const event = result.value;
        if (event.type === "start") throw new InternalError('found a second "start" in a completion');
        if (event.type === "done") {
          pending.delete(index);
          await iterator.return?.(); // what it holds is free for the others
        } else pending.set(index, next(index, iterator));
        yield { index, event };
      }
    } finally {
      await end(this.#iterators, this.#admitted);
    }
  }

  /** Gives everything up that was begun. */
  abandon(): Promise<void> {
    return end(this.#iterators, this.#admitted);
  }
}

/** An iterator that waits for its next event returns only after it: aborting makes that at once. */
async function end(iterators: readonly Events[], admitted: Admitted): Promise<void> {
  admitted.abort();
  await Promise.allSettled(iterators.map(async (iterator) => iterator.return?.()));
}
