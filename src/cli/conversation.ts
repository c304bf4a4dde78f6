import { type HeirloomError, isHeirloomError, nearestName } from "../core/index.ts";
import type { CompletionEvent, GenerationEngine, SamplingOptions } from "../generate/index.ts";
import { appendRow } from "./output-file.ts";
import { pathFrom } from "./paths.ts";

/** A turn of a conversation. */
export interface Turn {
  readonly role: "user" | "assistant";
  readonly content: string;
}

/** What a conversation needs of its surroundings. */
export interface ConversationOptions {
  readonly engine: GenerationEngine;
  readonly model: string;
  readonly system: string | null;
  readonly sampling: SamplingOptions;
  readonly stop: readonly string[];
  readonly maxTokens: number | null;
  /** Folder that paths after /save start from. */
  readonly folder: string;
  /** The answer, as it comes. */
  answer(text: string): void;
  /** What is said beside it. */
  say(message: string): void;
}

/** Tokens that a prompt must leave for the answer; else the oldest turns go, as long as there are any. */
const LEAST_ROOM = 64;
/** Of a dropped turn, enough to know it again. */
const SHOWN_CHARACTERS = 60;

const HELP: Readonly<Record<string, string>> = {
  reset: "forget the conversation",
  system: "TEXT: set the system message (nothing: none)",
  adapter: "NAME: go on with another model",
  save: "FILE.jsonl: add the conversation as a row of messages",
  help: "this list",
  quit: "end",
};

type Outcome = { readonly kind: "answer" } | { readonly kind: "full"; readonly error: HeirloomError | null } | { readonly kind: "failed" };

/** A conversation with one of an engine's models: the turns so far, and what is typed. */
export class Conversation {
  readonly #options: ConversationOptions;
  #model: string;
  #system: string | null;
  readonly #turns: Turn[] = [];
  #tokens = 0;

  constructor(options: ConversationOptions) {
    this.#options = options;
    this.#model = options.model;
    this.#system = options.system;
  }

  get model(): string {
    return this.#model;
  }

  /** Tokens of all answers. */
  get tokens(): number {
    return this.#tokens;
  }

  /** System message and turns, as a row of data has them. */
  get messages(): readonly { readonly role: string; readonly content: string }[] {
    return [...(this.#system === null ? [] : [{ role: "system", content: this.#system }]), ...this.#turns];
  }

  /** Takes a line; false if it was /quit. `signal` stops the answer, which stays as far as it came. */
  async take(line: string, signal: AbortSignal): Promise<boolean> {
    const text = line.trim();
    if (text === "") return true;
    const [, name, rest = ""] = /^\/(\w+)\s*(.*)$/s.exec(text) ?? [];
    if (name === undefined) {
      await this.#ask(text, signal);
      return true;
    }
    if (name === "quit" || name === "exit") return false;
    await this.#command(name, rest.trim());
    return true;
  }

  async #command(name: string, rest: string): Promise<void> {
    const { say, engine, folder } = this.#options;
    if (name === "reset") {
      this.#turns.length = 0;
      say("the conversation is forgotten");
    } else if (name === "system") {
      await this.#setSystem(rest === "" ? null : rest);
    } else if (name === "adapter") {
      const names = engine.models.map(({ id }) => id);
      if (names.includes(rest)) this.#model = rest;
      say(names.includes(rest) ? `now with ${rest}` : `expected one of ${names.join(", ")}, found ${rest === "" ? "nothing" : rest}`);
    } else if (name === "save") {
      await this.#save(pathFrom(folder, rest), rest);
    } else {
      const near = nearestName(name, Object.keys(HELP));
      if (name !== "help") say(`unknown command /${name}${near === undefined ? "" : `; did you mean /${near}?`}`);
      else
        say(
          Object.entries(HELP)
            .map(([each, what]) => `/${each.padEnd(8)} ${what}`)
            .join("\n"),
        );
    }
  }

  /** A template without a place for it would fail every turn from here on. */
  async #setSystem(system: string | null): Promise<void> {
    const { engine, say } = this.#options;
    if (system !== null) {
      const probe = [
        { role: "system", content: system },
        { role: "user", content: "?" },
      ];
      const request = { model: this.#model, prompt: { messages: probe }, maxTokens: 1, stop: [], sampling: { temperature: 0 } };
      try {
        for await (const event of engine.complete(request)) if (event.type === "start") break;
      } catch (error) {
        if (!isHeirloomError(error)) throw error;
        return say(`the system message is not set: ${error.message}`);
      }
    }
    this.#system = system;
    say(system === null ? "no system message" : "the system message is set");
  }

  async #save(path: string, typed: string): Promise<void> {
    const { say } = this.#options;
    if (typed === "") return say("expected /save FILE");
    try {
      const was = await appendRow(path, { messages: this.messages });
      say(was === "new" ? `saved to ${path}` : `added to ${path}`);
    } catch (error) {
      if (!isHeirloomError(error)) throw error;
      say(`not saved: ${error.message}`);
    }
  }

  /** Asks, and drops the oldest turns, saying which, until prompt and answer have room. */
  async #ask(text: string, signal: AbortSignal): Promise<void> {
    this.#turns.push({ role: "user", content: text });
    for (;;) {
      const outcome = await this.#complete(signal);
      if (outcome.kind === "answer") return;
      if (outcome.kind === "full" && this.#turns.length > 1) {
        this.#drop();
        continue;
      }
      if (outcome.kind === "full") this.#options.say(`${outcome.error?.message ?? "the context is full"}; the message is not kept`);
      this.#turns.pop();
      return;
    }
  }

  /** The oldest question with its answer. */
  #drop(): void {
    const next = this.#turns.findIndex(({ role }, i) => i > 0 && role === "user");
    const dropped = this.#turns.splice(0, next < 0 ? 1 : next);
    const first = dropped[0]?.content ?? "";
    const shown = first.length > SHOWN_CHARACTERS ? `${first.slice(0, SHOWN_CHARACTERS)}…` : first;
    this.#options.say(`the context is full: forgetting the oldest ${dropped.length} turns, from ${JSON.stringify(shown)}`);
  }

  async #complete(signal: AbortSignal): Promise<Outcome> {
    const { engine, sampling, stop, maxTokens, answer, say } = this.#options;
    const contextLength = engine.models.find(({ id }) => id === this.#model)?.contextLength ?? 0;
    let text = "";
    let end: Extract<CompletionEvent, { type: "done" }> | null = null;
    try {
      const request = { model: this.#model, prompt: { messages: this.messages }, maxTokens, stop, sampling };
      for await (const event of engine.complete(request, signal)) {
        if (
          event.type === "start" &&
          this.#turns.length > 1 &&
          contextLength - event.promptTokens < Math.min(LEAST_ROOM, contextLength / 4)
        )
          return { kind: "full", error: null };
        if (event.type === "text") {
          text += event.text;
          this.#tokens += event.tokenCount;
          answer(event.text);
        } else if (event.type === "done") end = event;
      }
    } catch (error) {
      if (!isHeirloomError(error)) throw error;
      if (error.code === "PROMPT_TOO_LONG") return { kind: "full", error };
      if (error.code !== "INTERRUPTED") {
        say(`${error.message}; the message is not kept`);
        return { kind: "failed" };
      }
    }
    answer("\n");
    if (end === null) say("(stopped)");
    else if (end.stop === "length") {
      const isFull = end.promptTokens + end.completionTokens >= contextLength;
      say(isFull ? "(the answer ends here: the context is full)" : `(the answer ends here: the limit of ${end.completionTokens} tokens)`);
    }
    this.#turns.push({ role: "assistant", content: text });
    return { kind: "answer" };
  }
}
