import { HeirloomError } from "../core/index.ts";
import type { CausalModel, Decoder, DecodingStream } from "../engine/index.ts";
import { Completion, type CompletionTask, type Progress } from "./completion.ts";

/** What a task's owner hears of it: progress any number of times, then once that it is done or failed. */
export interface TaskListener {
  onProgress?(progress: Progress): void;
  onDone(completion: Completion): void;
  onFailure(error: unknown): void;
}

/** A task that has a stream. */
interface Running {
  readonly completion: Completion;
  readonly listener: TaskListener;
  readonly lane: Lane;
  readonly stream: DecodingStream;
  /** The token to read next; null while the prompt is being read. */
  next: number | null;
}

interface Waiting {
  /** Grows with arrival. */
  readonly ticket: number;
  readonly completion: Completion;
  readonly listener: TaskListener;
}

/** One model with its streams and those that wait for one. */
interface Lane {
  readonly model: CausalModel;
  readonly decoder: Decoder;
  readonly waiting: Waiting[];
  readonly running: Running[];
}

/** How many tasks run at once, and how long each may get. */
export interface SchedulerLimits {
  readonly slots: number;
  /** Prompt and completion together, in tokens. */
  readonly contextLength: number;
  /** Asked before each round; once true, every task fails with INTERRUPTED. */
  readonly stopRequested?: () => boolean;
}

/**
 * Runs the tasks of several models of one base side by side. In each round one part of one prompt is read, and every model
 * makes a token for each of its tasks; tasks join and leave between rounds, so that none waits for another to end and a long
 * prompt delays the others by a part of it.
 */
export class Scheduler {
  readonly #lanes = new Map<CausalModel, Lane>();
  readonly #limits: SchedulerLimits;
  /** Prompts that are being read, the next one first. */
  readonly #reading: Running[] = [];
  /** Tasks to be ended once no run is under way. */
  readonly #cancelled = new Set<Running>();
  #tickets = 0;
  #working: Promise<void> | null = null;

  constructor(limits: SchedulerLimits) {
    this.#limits = limits;
  }

  /** Bytes that keys and values take now. */
  get cacheBytes(): number {
    return [...this.#lanes.values()].reduce((sum, { decoder }) => sum + decoder.cacheBytes, 0);
  }

  /**
   * Takes a task and begins with it as soon as there is a slot.
   *
   * @returns ends the task at once and frees its slot; its listener hears nothing more
   * @throws SAMPLING_INVALID
   */
  submit(model: CausalModel, task: CompletionTask, listener: TaskListener): () => void {
    const completion = new Completion(task);
    if (completion.stop !== null) {
      listener.onDone(completion);
      return () => undefined;
    }
    const lane = this.#lane(model);
    lane.waiting.push({ ticket: this.#tickets++, completion, listener });
    this.#wake();
    return () => {
      const waiting = lane.waiting.findIndex((other) => other.completion === completion);
      if (waiting >= 0) lane.waiting.splice(waiting, 1);
      // Its stream may be part of the run under way: it is closed between rounds.
      const running = lane.running.find((other) => other.completion === completion);
      if (running !== undefined) this.#cancelled.add(running);
    };
  }

  /** Resolves once nothing is left to do. */
  async idle(): Promise<void> {
    while (this.#working !== null) await this.#working;
  }

  #lane(model: CausalModel): Lane {
    let lane = this.#lanes.get(model);
    if (lane === undefined) {
      lane = { model, decoder: model.decoder(this.#limits.contextLength), waiting: [], running: [] };
      this.#lanes.set(model, lane);
    }
    return lane;
  }

  #wake(): void {
    this.#working ??= this.#work().finally(() => {
      this.#working = null;
      // A task may have come between the last look and now.
      if (this.#hasWork) this.#wake();
    });
  }

  get #hasWork(): boolean {
    return [...this.#lanes.values()].some(({ waiting, running }) => waiting.length + running.length > 0);
  }

  async #work(): Promise<void> {
    await Promise.resolve(); // tasks that are submitted together begin together
    while (this.#hasWork) {
      if (this.#limits.stopRequested?.() === true) this.#interrupt();
      this.#dropCancelled();
      this.#admit();
      await this.#readPart();
      for (const lane of this.#lanes.values()) {
        this.#dropCancelled();
        await this.#step(lane);
      }
    }
    this.#dropCancelled();
  }

  #interrupt(): void {
    this.#dropCancelled(); // who ended a task hears nothing more of it
    for (const { waiting, running } of this.#lanes.values()) {
      const stopped = [...waiting.splice(0), ...running];
      for (const task of running.slice()) this.#leave(task);
      for (const { completion, listener } of stopped)
        listener.onFailure(new HeirloomError("INTERRUPTED", `stopped after ${completion.ids.length} tokens`));
    }
  }

  #dropCancelled(): void {
    for (const running of this.#cancelled) this.#leave(running);
    this.#cancelled.clear();
  }

  /** Gives free slots away: to the model that has the fewest, of equal ones to the task that came first. */
  #admit(): void {
    const lanes = [...this.#lanes.values()];
    let taken = lanes.reduce((sum, { running }) => sum + running.length, 0);
    while (taken < this.#limits.slots) {
      const candidates = lanes.flatMap((lane) => {
        const first = lane.waiting[0];
        return first === undefined ? [] : [{ lane, first }];
      });
      candidates.sort((a, b) => a.lane.running.length - b.lane.running.length || a.first.ticket - b.first.ticket);
      const chosen = candidates[0];
      if (chosen === undefined) return;
      const { lane, first } = chosen;
      lane.waiting.shift();
      try {
        // The plan counts what runs at one moment: before one model's cache grows, the others give back what only their past needed.
        if (lane.decoder.isFull) for (const { decoder } of lanes) decoder.trim();
        const running: Running = { completion: first.completion, listener: first.listener, lane, stream: lane.decoder.open(), next: null };
        lane.running.push(running);
        this.#reading.push(running);
        taken++;
      } catch (error) {
        first.listener.onFailure(error);
      }
    }
  }

  /** Reads the next part of the first prompt that is not read yet; prompts take turns. */
  async #readPart(): Promise<void> {
    const running = this.#reading.shift();
    if (running === undefined) return;
    const { stream, lane, completion } = running;
    const { promptIds } = completion.task;
    const part = promptIds.slice(stream.length, stream.length + lane.decoder.prefillRows(stream));
    const isLast = stream.length + part.length === promptIds.length;
    try {
      const logits = await lane.decoder.extend(stream, part, isLast ? "last" : "none");
      if (logits === null) this.#reading.push(running);
      else this.#take(running, logits);
    } catch (error) {
      this.#fail(running, error);
    }
  }

  /** One token for each of a model's tasks whose prompt is read. */
  async #step({ decoder, model, running: all }: Lane): Promise<void> {
    const ready = all.filter(({ next }) => next !== null);
    if (ready.length === 0) return;
    try {
      const logits = await decoder.step(ready.map(({ stream, next }) => ({ stream, id: next as number })));
      const vocab = model.spec.vocabSize;
      for (const [i, running] of ready.entries()) this.#take(running, logits.subarray(i * vocab, (i + 1) * vocab));
    } catch (error) {
      for (const running of ready) this.#fail(running, error);
    }
  }

  #take(running: Running, logits: Float32Array): void {
    if (this.#cancelled.has(running)) return;
    const { completion, listener } = running;
    let progress: Progress | null;
    try {
      progress = completion.take(logits);
    } catch (error) {
      this.#fail(running, error);
      return;
    }
    if (progress !== null) listener.onProgress?.(progress);
    if (completion.stop === null) {
      running.next = completion.ids.at(-1) as number;
      return;
    }
    this.#leave(running);
    listener.onDone(completion);
  }

  #fail(running: Running, error: unknown): void {
    if (!running.lane.running.includes(running)) return;
    const wasCancelled = this.#cancelled.has(running);
    this.#leave(running);
    if (!wasCancelled) running.listener.onFailure(error);
  }

  #leave(running: Running): void {
    const { lane, stream } = running;
    const at = lane.running.indexOf(running);
    if (at < 0) return;
    lane.running.splice(at, 1);
    const reading = this.#reading.indexOf(running);
    if (reading >= 0) this.#reading.splice(reading, 1);
    this.#cancelled.delete(running);
    lane.decoder.close(stream);
  }
}

/** Slots of {@link completeAll}: at eight, a step costs one and a half times that of one stream. */
const BATCH_SLOTS = 8;

/**
 * Completes all tasks, several at once, and returns their completions in order.
 *
 * @throws SAMPLING_INVALID, INTERRUPTED if a stop is requested, LOSS_NOT_FINITE, COMPUTE_FAILED
 */
export async function completeAll(
  model: CausalModel,
  tasks: readonly CompletionTask[],
  stopRequested: () => boolean = () => false,
): Promise<readonly Completion[]> {
  const scheduler = new Scheduler({ slots: BATCH_SLOTS, contextLength: model.spec.maxPositions, stopRequested });
  const cancels: (() => void)[] = [];
  const results = tasks.map(
    (task) =>
      new Promise<Completion>((resolve, reject) => {
        cancels.push(scheduler.submit(model, task, { onDone: resolve, onFailure: reject }));
      }),
  );
  try {
    return await Promise.all(results);
  } finally {
    for (const cancel of cancels) cancel();
    await scheduler.idle();
  }
}
