import { HeirloomError, ProblemList } from "../core/index.ts";
import { openFile, sha256 } from "../core/node/index.ts";
import type { ChatMessage, Tokenizer } from "../data/index.ts";
import type { CausalModel } from "../engine/index.ts";
import { describeValue, printable, readJsonl } from "../formats/index.ts";
import { chatIds } from "./chat.ts";
import { completeGreedily } from "./greedy.ts";
import { endTokens, promptIds } from "./prompt.ts";
import { scoreAnswer } from "./squad.ts";

/** A prompt and what would be a right answer to it. */
interface Question {
  readonly ids: readonly number[];
  /** Any of them is right. */
  readonly references: readonly string[];
}

/** Prompts with answers, tokenized. */
export interface AnswerSet {
  readonly questions: readonly Question[];
  /** SHA-256 over token ids and answers. */
  readonly fingerprint: string;
}

/** How a file of answers is read. */
export interface AnswerOptions {
  /** Prompts must be shorter, in tokens. */
  readonly maxPositions: number;
  /** The date that a chat template may print. */
  readonly now: Date;
  /** Path of a Jinja file with the chat template; null: the tokenizer's own. */
  readonly template: string | null;
}

/** Means over all rows, as shares from 0 to 1. */
export interface AnswerScores {
  readonly exactMatch: number;
  readonly f1: number;
  readonly rows: number;
}

/** Faults shown before reading stops, as in data files. */
const MAX_FAULTS = 20;
const EXPECTED = "{prompt, answer}, {prompt, answers: […]}, {prompt, completion} or {messages} that end with an assistant's turn";

type Row = { readonly prompt: string | readonly ChatMessage[]; readonly references: readonly string[] };

const isText = (value: unknown): value is string => typeof value === "string";

function isMessage(value: unknown): value is ChatMessage {
  return (
    typeof value === "object" && value !== null && "role" in value && isText(value.role) && "content" in value && isText(value.content)
  );
}

/** A row's prompt and answers; null if it has none. */
function parseRow(value: unknown): Row | null {
  if (typeof value !== "object" || value === null) return null;
  const { prompt, answer, answers, completion, messages } = value as Partial<Record<string, unknown>>;
  if (Array.isArray(messages) && messages.length > 1 && messages.every(isMessage)) {
    const last = messages.at(-1) as ChatMessage & { readonly content: string };
    return last.role === "assistant" ? { prompt: messages.slice(0, -1), references: [last.content] } : null;
  }
  const given = [answer, answers, completion].filter((candidate) => candidate !== undefined);
  const references = given.length === 1 && Array.isArray(given[0]) ? (given[0] as unknown[]) : given;
  if (!isText(prompt) || given.length !== 1 || references.length === 0 || !references.every(isText)) return null;
  return { prompt, references };
}

/**
 * Reads JSON Lines files of prompts with answers.
 *
 * @throws DATA_FORMAT_INVALID, DATA_ROW_TOO_LONG, DATA_EMPTY, CHAT_TEMPLATE_INVALID, JSONL_INVALID, FILE_MISSING: up to 20 rows at once
 */
export async function loadAnswers(files: readonly string[], tokenizer: Tokenizer, options: AnswerOptions): Promise<AnswerSet> {
  const problems = new ProblemList();
  const questions: Question[] = [];
  const encode = (prompt: Row["prompt"]): Promise<number[]> =>
    typeof prompt === "string" ? Promise.resolve(promptIds(tokenizer, prompt)) : chatIds(tokenizer, prompt, options);
  for (const path of files) {
    const before = questions.length;
    const file = await openFile(path);
    try {
      for await (const { row, value } of readJsonl(file, path)) {
        if (problems.problems.length >= MAX_FAULTS) break;
        const where = printable(`${path}:${row}`);
        const parsed = parseRow(value);
        if (parsed === null) {
          problems.add("DATA_FORMAT_INVALID", `expected a row of ${EXPECTED}, found ${describeValue(value)}`, { where });
          continue;
        }
        const ids = await encode(parsed.prompt);
        if (ids.length >= options.maxPositions)
          problems.add(
            "DATA_ROW_TOO_LONG",
            `expected a prompt of fewer than ${options.maxPositions} tokens, the model's context, found ${ids.length}`,
            {
              where,
              hint: "shorten the prompt, or take the row out",
            },
          );
        questions.push({ ids, references: parsed.references });
      }
    } finally {
      await file.close();
    }
    if (questions.length === before && problems.problems.length === 0)
      problems.add("DATA_EMPTY", "expected at least one row, found none", { where: printable(path) });
  }
  problems.throwIfAny();
  return { questions, fingerprint: sha256(JSON.stringify(questions)) };
}

/**
 * Completes every prompt greedily and scores what comes, with SQuAD's normalization.
 *
 * @throws INTERRUPTED if a stop is requested, LOSS_NOT_FINITE
 */
export async function scoreAnswers(
  model: CausalModel,
  tokenizer: Tokenizer,
  { questions }: AnswerSet,
  limits: { readonly maxTokens: number; readonly stopRequested?: () => boolean },
): Promise<AnswerScores> {
  if (questions.length === 0) throw new HeirloomError("DATA_EMPTY", "expected prompts with answers, found none");
  const prompts = questions.map(({ ids }) => ids);
  const outcomes = await completeGreedily(model, prompts, { ...limits, endIds: endTokens(model.spec, tokenizer) });
  let [exactMatch, f1] = [0, 0];
  for (const [i, { references }] of questions.entries()) {
    const score = scoreAnswer(tokenizer.decode(outcomes[i]?.ids ?? []), references);
    exactMatch += score.exactMatch;
    f1 += score.f1;
  }
  const rows = questions.length;
  return { exactMatch: exactMatch / rows, f1: f1 / rows, rows };
}
