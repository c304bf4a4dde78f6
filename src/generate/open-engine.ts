import { HeirloomError, InternalError } from "../core/index.ts";
import { describeFailure, rebuildFailure, workerError } from "../core/node/index.ts";
import type { CompletionEvent, CompletionRequest, GenerationEngine, GenerationEngineOptions } from "./api.ts";
import { EngineHost, type FromHost, type ToHost } from "./engine-host.ts";
import { startEngineWorker } from "./engine-worker.ts";

/** How long closing waits for the engine to end by itself; a template or a graph may never give the thread back. */
const CLOSE_MS = 5_000;

type Ready = Extract<FromHost, { kind: "ready" }>;

/** Where the engine computes: messages to it; what it says, and its end, come through the listener. */
interface Connection {
  send(message: ToHost): void;
  /** Ends the thread, if there is one: with it goes what could not be freed. @throws that, where there is none */
  end(left: HeirloomError | null): Promise<void>;
}

interface Listener {
  onMessage(message: FromHost): void;
  /** The other side is gone, with or without a reason. */
  onEnd(error: HeirloomError): void;
}

function connectWorker(options: GenerationEngineOptions, listener: Listener): Connection {
  const { inline: _, ...rest } = options;
  const worker = startEngineWorker(rest);
  worker.on("message", (message: FromHost) => listener.onMessage(message));
  worker.on("messageerror", (error) => {
    listener.onEnd(rebuildFailure(describeFailure(error)));
    void worker.terminate(); // what it said is lost, and with it what it was about
  });
  worker.on("error", (error) => listener.onEnd(workerError(error)));
  worker.on("exit", (code) => listener.onEnd(new InternalError(`the engine's thread ended with exit code ${code}`)));
  return {
    send: (message) => worker.postMessage(message),
    end: async () => void (await worker.terminate()),
  };
}

/** The same on this thread; messages are cloned as they would be, so that nothing is shared by accident. */
function connectInline(options: GenerationEngineOptions, listener: Listener): Connection {
  const { inline: _, ...rest } = options;
  const host = EngineHost.open(rest, (message) => listener.onMessage(structuredClone(message)));
  host.catch((error: unknown) => listener.onMessage({ kind: "failure", id: null, failure: describeFailure(error) }));
  return {
    send: (message) =>
      void host.then(
        (opened) => opened.handle(structuredClone(message)),
        () => undefined,
      ),
    async end(left) {
      if (left !== null) throw left;
    },
  };
}

/** What has come for a request and was not fetched yet. */
class Inbox {
  readonly #events: CompletionEvent[] = [];
  #failure: unknown;
  #hasFailed = false;
  #wake: (() => void) | null = null;

  push(event: CompletionEvent): void {
    this.#events.push(event);
    this.#wake?.();
  }

  fail(error: unknown): void {
    this.#failure ??= error;
    this.#hasFailed = true;
    this.#wake?.();
  }

  /** The next event; what came before a failure comes first. */
  async next(): Promise<CompletionEvent> {
    for (;;) {
      const event = this.#events.shift();
      if (event !== undefined) return event;
      if (this.#hasFailed) throw this.#failure;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = null;
    }
  }
}

class Engine implements GenerationEngine {
  readonly models: GenerationEngine["models"];
  readonly notes: readonly string[];
  readonly cacheBytes: number;
  readonly hasChatTemplate: boolean;
  readonly ended: Promise<HeirloomError>;
  readonly #connection: Connection;
  readonly #inboxes: Map<number, Inbox>;
  readonly #state: EngineState;
  #requests = 0;
  #closing: Promise<void> | null = null;

  constructor(ready: Ready, connection: Connection, state: EngineState) {
    this.models = ready.models;
    this.notes = ready.notes;
    this.cacheBytes = ready.cacheBytes;
    this.hasChatTemplate = ready.hasChatTemplate;
    this.ended = state.ended;
    this.#connection = connection;
    this.#inboxes = state.inboxes;
    this.#state = state;
  }

  async *complete(request: CompletionRequest, signal?: AbortSignal): AsyncGenerator<CompletionEvent, void> {
    if (this.#state.end !== null) throw this.#state.end;
    if (signal?.aborted === true) throw interrupted("before it began");
    const id = this.#requests++;
    const inbox = new Inbox();
    this.#inboxes.set(id, inbox);
    let isOver = false;
    const abort = (): void => {
      isOver = true;
      this.#inboxes.delete(id);
      this.#connection.send({ kind: "cancel", id });
      inbox.fail(interrupted("by the caller"));
    };
    signal?.addEventListener("abort", abort);
    try {
      this.#connection.send({ kind: "complete", id, request });
      for (;;) {
        const event = await inbox.next();
        if (event.type === "done") isOver = true;
        yield event;
        if (event.type === "done") return;
      }
    } finally {
      signal?.removeEventListener("abort", abort);
      this.#inboxes.delete(id);
      // The caller left the loop.
      if (!isOver && this.#state.end === null) this.#connection.send({ kind: "cancel", id });
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    if (this.#state.end !== null) return;
    this.#state.finish(interrupted("the engine is closed"));
    this.#connection.send({ kind: "close" });
    await this.#connection.end(await within(CLOSE_MS, this.#state.closed));
  }
}

/** What `done` comes to, waited for `ms` at most; null if it takes longer. */
async function within<T>(ms: number, done: Promise<T>): Promise<T | null> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<null>((resolve) => {
    timer = setTimeout(() => resolve(null), ms);
  });
  const first = await Promise.race([done, late]);
  clearTimeout(timer);
  return first;
}

function interrupted(how: string): HeirloomError {
  return new HeirloomError("INTERRUPTED", `the completion was stopped: ${how}`);
}

/** What the connection's messages change. */
class EngineState {
  readonly inboxes = new Map<number, Inbox>();
  /** Resolves with {@link end}. */
  readonly ended: Promise<HeirloomError>;
  /** The other side is done or gone; with what it could not free. */
  readonly closed: Promise<HeirloomError | null>;
  #end: HeirloomError | null = null;
  #markEnded: (error: HeirloomError) => void = () => undefined;
  #markClosed: (failure: HeirloomError | null) => void = () => undefined;

  constructor() {
    this.ended = new Promise((resolve) => {
      this.#markEnded = resolve;
    });
    this.closed = new Promise((resolve) => {
      this.#markClosed = resolve;
    });
  }

  /** Why nothing can be asked any more. */
  get end(): HeirloomError | null {
    return this.#end;
  }

  /** Ends every request that is under way. The first reason is the one that counts. */
  finish(error: HeirloomError): void {
    if (this.#end !== null) return;
    this.#end = error;
    for (const inbox of this.inboxes.values()) inbox.fail(error);
    this.inboxes.clear();
    this.#markEnded(error);
  }

  close(failure: HeirloomError | null): void {
    this.#markClosed(failure);
  }
}

/**
 * Opens a base with its adapters in a worker thread, for any number of requests side by side.
 *
 * @throws BASE_MISMATCH, CACHE_TOO_LARGE, CONFIG_INVALID, PEER_MISSING, TOKENIZER_TOO_LARGE and what reading the files throws
 * @example
 * ```ts no-run
 * const engine = await openGenerationEngine({ sources: [{ path: "runs/a" }, { path: "runs/b" }] });
 * for await (const event of engine.complete({ model: "a", prompt: { text: "In the" }, maxTokens: 20, stop: [], sampling: { temperature: 0 } }))
 *   if (event.type === "text") process.stdout.write(event.text);
 * await engine.close();
 * ```
 */
export async function openGenerationEngine(options: GenerationEngineOptions): Promise<GenerationEngine> {
  const connect = options.inline === true ? connectInline : connectWorker;
  const state = new EngineState();
  return new Promise<GenerationEngine>((resolve, reject) => {
    const onEnd = (error: HeirloomError): void => {
      reject(error);
      state.finish(error);
      state.close(null);
    };
    const onMessage = (message: FromHost): void => {
      if (message.kind === "ready") resolve(new Engine(message, connection, state));
      else if (message.kind === "event") state.inboxes.get(message.id)?.push(message.event);
      else if (message.kind === "closed") state.close(message.failure === null ? null : rebuildFailure(message.failure));
      else if (message.id !== null) state.inboxes.get(message.id)?.fail(rebuildFailure(message.failure));
      else {
        onEnd(rebuildFailure(message.failure));
        void connection.end(null);
      }
    };
    const connection = connect(options, { onMessage, onEnd });
  });
}
