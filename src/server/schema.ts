import { z } from "zod";

/** As in OpenAI's API: https://platform.openai.com/docs/api-reference/chat/create */
export const MAX_CHOICES = 128;
const MAX_STOPS = 4;
const MAX_TEMPERATURE = 2;
const MAX_PENALTY = 2;
const MAX_TOP_LOGPROBS = 20;
/** Of the older endpoint. */
const MAX_TEXT_LOGPROBS = 5;

const stopText = z.string().min(1);
const penalty = z.number().min(-MAX_PENALTY).max(MAX_PENALTY).nullish();
const tokenLimit = z.int().min(1).nullish();

/** What both endpoints take. */
const common = {
  model: z.string().min(1),
  max_tokens: tokenLimit,
  n: z.int().min(1).max(MAX_CHOICES).nullish(),
  stop: z.union([stopText, z.array(stopText).max(MAX_STOPS)]).nullish(),
  stream: z.boolean().nullish(),
  stream_options: z
    .strictObject({
      include_usage: z.boolean().nullish(),
      // Random padding against listeners on the network; false asks for none.
      include_obfuscation: z.literal(false).nullish(),
    })
    .nullish(),
  temperature: z.number().min(0).max(MAX_TEMPERATURE).nullish(),
  top_p: z.number().gt(0).max(1).nullish(),
  seed: z.int().min(0).nullish(),
  frequency_penalty: penalty,
  presence_penalty: penalty,
  /** A label of the end user, which changes no answer. */
  user: z.string().nullish(),
  // Extensions, under the names that vLLM and llama.cpp's servers give them.
  min_p: z.number().min(0).max(1).nullish(),
  top_k: z.int().min(0).nullish(),
  repetition_penalty: z.number().gt(0).nullish(),
};

/** One part of a message's content; its type is judged later, to be refused by name. */
const contentPart = z.looseObject({ type: z.string() });

const toolCall = z.looseObject({
  type: z.literal("function"),
  function: z.looseObject({ name: z.string().min(1), arguments: z.union([z.string(), z.record(z.string(), z.unknown())]) }),
});

/** Further fields of a message reach the chat template as they are. */
const message = z.looseObject({
  role: z.enum(["system", "developer", "user", "assistant", "tool"]),
  content: z.union([z.string(), z.array(contentPart)]).nullish(),
  tool_calls: z.array(toolCall).nullish(),
});

const tool = z.looseObject({ type: z.literal("function"), function: z.looseObject({ name: z.string().min(1) }) });

/** Body of `POST /v1/chat/completions`. */
export const chatSchema = z.object({
  ...common,
  messages: z.array(message).min(1),
  max_completion_tokens: tokenLimit,
  logprobs: z.boolean().nullish(),
  top_logprobs: z.int().min(0).max(MAX_TOP_LOGPROBS).nullish(),
  tools: z.array(tool).nullish(),
  tool_choice: z.enum(["auto", "none"]).nullish(),
  // Labels for caches and abuse reports, which change no answer.
  prompt_cache_key: z.string().nullish(),
  safety_identifier: z.string().nullish(),
});

/** Body of `POST /v1/completions`. */
export const textSchema = z.object({
  ...common,
  prompt: z.union([z.string(), z.array(z.string()).min(1)]),
  logprobs: z.int().min(0).max(MAX_TEXT_LOGPROBS).nullish(),
});

export type TextBody = z.infer<typeof textSchema>;
export type CommonBody = Omit<TextBody, "prompt" | "logprobs">;
export type MessageBody = z.infer<typeof message>;
