import { randomUUID } from "node:crypto";
import type { CompletedToken, CompletionStop } from "../generate/index.ts";
import type { Completions } from "./completions.ts";
import type { Job } from "./job.ts";

/** Tokens of an answer, as OpenAI's API tells them. */
export interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
}

function usageOf(promptTokens: number, completionTokens: number): Usage {
  return { prompt_tokens: promptTokens, completion_tokens: completionTokens, total_tokens: promptTokens + completionTokens };
}

/** What every answer and every part of it begins with. */
function headOf({ model, format }: Job): { readonly id: string; readonly created: number; readonly model: string } {
  return { id: `${format.idPrefix}${randomUUID().replaceAll("-", "")}`, created: Math.floor(Date.now() / 1000), model };
}

/** How many tokens an answer took, told while it is made. */
export type OnTokens = (completionTokens: number) => void;

/** The answer of a request that is not streamed. */
export async function wholeAnswer(job: Job, completions: Completions, onTokens: OnTokens): Promise<object> {
  const choices = job.requests.map(() => ({ text: "", tokens: [] as CompletedToken[], stop: "length" as CompletionStop }));
  let completionTokens = 0;
  for await (const { index, event } of completions.events()) {
    const choice = choices[index];
    if (choice === undefined) continue;
    if (event.type === "text") {
      choice.text += event.text;
      choice.tokens.push(...event.tokens);
    } else {
      choice.stop = event.stop;
      completionTokens += event.completionTokens;
      onTokens(completionTokens);
    }
  }
  const { format } = job;
  return {
    ...headOf(job),
    object: format.object,
    choices: choices.map(({ text, tokens, stop }, index) => format.whole({ index, text, tokens }, stop)),
    usage: usageOf(completions.promptTokens, completionTokens),
  };
}

/** The parts of a streamed answer, in order; the last one has no choices but the usage, if that was asked for. */
export async function* answerParts(job: Job, completions: Completions, onTokens: OnTokens): AsyncGenerator<object, void> {
  const { format } = job;
  const head = { ...headOf(job), object: format.chunkObject };
  const part = (choice: object): object => ({ ...head, choices: [choice], ...(job.includeUsage ? { usage: null } : {}) });
  let completionTokens = 0;
  let shownTokens = 0;
  try {
    for (const index of job.requests.keys()) {
      const opening = format.opening(index);
      if (opening !== null) yield part(opening);
    }
    for await (const { index, event } of completions.events()) {
      if (event.type === "text") {
        shownTokens += event.tokenCount;
        onTokens(shownTokens);
        const choice = format.part({ index, text: event.text, tokens: event.tokens });
        if (choice !== null) yield part(choice);
      } else {
        completionTokens += event.completionTokens;
        yield part(format.closing(index, event.stop));
      }
    }
    onTokens(completionTokens);
    if (job.includeUsage) yield { ...head, choices: [], usage: usageOf(completions.promptTokens, completionTokens) };
  } finally {
    // Also where the client left before the first event was asked for.
    await completions.abandon();
  }
}
