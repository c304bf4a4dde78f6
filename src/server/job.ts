import type { CompletionPrompt, CompletionRequest, SamplingOptions } from "../generate/index.ts";
import { ApiError, invalidValue } from "./api-error.ts";
import { chatFormat } from "./chat-format.ts";
import { checkBody } from "./check-body.ts";
import type { AnswerFormat } from "./format.ts";
import { chatMessages } from "./messages.ts";
import { type Body, UNSUPPORTED_CHAT, UNSUPPORTED_TEXT } from "./parameters.ts";
import { type CommonBody, chatSchema, MAX_CHOICES, textSchema } from "./schema.ts";
import { textFormat } from "./text-format.ts";

/** Of the older endpoint, as in OpenAI's API. */
const DEFAULT_TEXT_TOKENS = 16;
/** As in OpenAI's API: who wants the likeliest token asks for 0. */
const DEFAULT_TEMPERATURE = 1;

/** A request that was understood: what to complete, and how to answer. */
export interface Job {
  readonly model: string;
  /** One for each choice, in order. */
  readonly requests: readonly CompletionRequest[];
  /** Choices of one prompt are neighbours. */
  readonly choicesPerPrompt: number;
  readonly stream: boolean;
  readonly includeUsage: boolean;
  /** The limit that the client asked for and where; null: none. */
  readonly asked: { readonly tokens: number; readonly param: string } | null;
  readonly format: AnswerFormat;
}

function samplingOf(body: CommonBody): SamplingOptions {
  const options: Partial<Record<keyof SamplingOptions, number | null | undefined>> = {
    topP: body.top_p,
    topK: body.top_k,
    minP: body.min_p,
    seed: body.seed,
    repetitionPenalty: body.repetition_penalty,
    presencePenalty: body.presence_penalty,
    frequencyPenalty: body.frequency_penalty,
  };
  const given = Object.entries(options).filter(([, value]) => value !== null && value !== undefined);
  return { temperature: body.temperature ?? DEFAULT_TEMPERATURE, ...Object.fromEntries(given) };
}

/** Each choice of a prompt draws by a seed of its own: the given one, the one after it …; 0 comes after the largest. */
function choiceSampling(sampling: SamplingOptions, choice: number): SamplingOptions {
  if (sampling.seed === undefined) return sampling;
  const left = Number.MAX_SAFE_INTEGER - sampling.seed; // beyond it numbers are no longer told apart
  return { ...sampling, seed: choice <= left ? sampling.seed + choice : choice - left - 1 };
}

interface Asked {
  readonly prompts: readonly CompletionPrompt[];
  readonly maxTokens: number | null;
  readonly topLogprobs: number | null;
}

function jobOf(body: CommonBody, { prompts, maxTokens, topLogprobs }: Asked, rest: Pick<Job, "asked" | "format">): Job {
  const choices = body.n ?? 1;
  if (choices * prompts.length > MAX_CHOICES)
    throw invalidValue(
      "n",
      `expected at most ${MAX_CHOICES} choices in one request, found ${choices} for each of ${prompts.length} prompts`,
    );
  if (body.stream_options !== null && body.stream_options !== undefined && body.stream !== true)
    throw invalidValue("stream_options", "only goes with stream: true");
  const sampling = samplingOf(body);
  const stop = typeof body.stop === "string" ? [body.stop] : (body.stop ?? []);
  const request = { model: body.model, maxTokens, stop, ...(topLogprobs === null ? {} : { topLogprobs }) };
  const requests = prompts.flatMap((prompt) =>
    Array.from({ length: choices }, (_, choice) => ({ ...request, prompt, sampling: choiceSampling(sampling, choice) })),
  );
  return {
    model: body.model,
    requests,
    choicesPerPrompt: choices,
    stream: body.stream === true,
    includeUsage: body.stream_options?.include_usage === true,
    ...rest,
  };
}

function askedTokens(body: CommonBody & { readonly max_completion_tokens?: number | null | undefined }): Job["asked"] {
  const older = body.max_tokens ?? null;
  const newer = body.max_completion_tokens ?? null;
  if (older !== null && newer !== null && older !== newer)
    throw invalidValue("max_tokens", "expected the same number as in max_completion_tokens, or one of the two only");
  if (newer !== null) return { tokens: newer, param: "max_completion_tokens" };
  return older === null ? null : { tokens: older, param: "max_tokens" };
}

/** The job of a body of `POST /v1/chat/completions`. @throws ApiError */
export function chatJob(raw: unknown): Job {
  const body = checkBody(raw, chatSchema, UNSUPPORTED_CHAT);
  const logprobs = body.logprobs === true;
  if (!logprobs && (body.top_logprobs ?? null) !== null) throw invalidValue("top_logprobs", "only goes with logprobs: true");
  // What the model is not told of, it cannot call.
  const tools = body.tool_choice === "none" ? [] : (body.tools ?? []);
  const messages = chatMessages(body.messages);
  const prompt: CompletionPrompt = { messages, ...(tools.length === 0 ? {} : { tools }) };
  const asked = askedTokens(body);
  const topLogprobs = logprobs ? (body.top_logprobs ?? 0) : null;
  return jobOf(body, { prompts: [prompt], maxTokens: asked?.tokens ?? null, topLogprobs }, { asked, format: chatFormat(logprobs) });
}

function holdsNumbers(prompt: unknown): boolean {
  return Array.isArray(prompt) && prompt.some((each) => typeof each === "number" || Array.isArray(each));
}

/** The job of a body of `POST /v1/completions`. @throws ApiError */
export function textJob(raw: unknown): Job {
  if (typeof raw === "object" && raw !== null && holdsNumbers((raw as Body)["prompt"]))
    throw new ApiError(400, "unsupported_value", "prompt: token ids are not supported by this server, which reads text only", {
      param: "prompt",
    });
  const body = checkBody(raw, textSchema, UNSUPPORTED_TEXT);
  const prompts = typeof body.prompt === "string" ? [body.prompt] : body.prompt;
  const asked = askedTokens(body);
  const topLogprobs = body.logprobs ?? null;
  const starts = prompts.flatMap((prompt) => Array.from({ length: body.n ?? 1 }, () => prompt.length));
  return jobOf(
    body,
    { prompts: prompts.map((text) => ({ text })), maxTokens: asked?.tokens ?? DEFAULT_TEXT_TOKENS, topLogprobs },
    { asked, format: textFormat(topLogprobs === null ? null : starts) },
  );
}
