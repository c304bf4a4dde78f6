import { HeirloomError, isHeirloomError } from "../core/index.ts";
import type { ChatTemplate, Span } from "./chat-template.ts";
import type { ChatRecord, Turn } from "./record.ts";

/** What of a row is trained: assistants' turns (completions), only the last of them, or all of the text. */
export type TrainOn = "assistant" | "last" | "all";

/** A chat as text, with the parts of it that are trained. */
export interface TrainedChat {
  readonly text: string;
  /** Ascending, not overlapping, none empty. */
  readonly spans: readonly Span[];
}

/** One chat that is being rendered. */
interface Rendering {
  readonly template: ChatTemplate;
  readonly record: ChatRecord;
  readonly whole: string;
  readonly specials: readonly string[];
  readonly where: string;
}

function refuse({ template, record, where }: Rendering, index: number, reason: string): never {
  const role = record.turns[index]?.message.role ?? "assistant";
  throw new HeirloomError("CHAT_TEMPLATE_INVALID", `the ${role}'s turn ${index + 1} cannot be told from the rest: ${reason}`, {
    where,
    hint: `put {% generation %} … {% endgeneration %} around what the assistant writes in ${template.name}`,
  });
}

/** Without the whitespace after its last special token, which only separates turns. */
function trimAfterSpecial(text: string, span: Span, specials: readonly string[]): Span {
  const content = text.slice(span.start, span.end).trimEnd();
  return specials.some((special) => content.endsWith(special)) ? { start: span.start, end: span.start + content.length } : span;
}

/** The length of the chat up to a turn, if that rendering begins the whole. */
function lengthUpTo(rendering: Rendering, count: number, addGenerationPrompt: boolean, turn: number): number {
  const { template, record, whole, where } = rendering;
  if (count === record.turns.length && !addGenerationPrompt) return whole.length;
  const messages = record.turns.slice(0, count).map(({ message }) => message);
  let text: string;
  try {
    text = template.render(messages, { addGenerationPrompt, where, tools: record.tools, variables: record.variables }).text;
  } catch (error) {
    if (!isHeirloomError(error)) throw error;
    const which = count === turn ? "the messages before it" : "the messages up to it";
    return refuse(rendering, turn, `the template does not render ${which} alone (${error.problems[0].message})`);
  }
  if (whole.startsWith(text)) return text.length;
  return refuse(
    rendering,
    turn,
    addGenerationPrompt
      ? "the messages before it, with the generation prompt, do not begin the whole chat"
      : "the messages up to it do not begin the whole chat",
  );
}

/** An assistant's turn: from where the generation prompt ends to where the turn does. */
function assistantSpan(rendering: Rendering, index: number): Span {
  const start = lengthUpTo(rendering, index, true, index);
  const end = lengthUpTo(rendering, index + 1, false, index);
  if (end < start) return refuse(rendering, index, "the messages up to it do not begin the whole chat");
  return trimAfterSpecial(rendering.whole, { start, end }, rendering.specials);
}

/** Another's turn: nothing introduces it as a generation prompt does, so it is from its content on. */
function contentSpan(rendering: Rendering, index: number): Span {
  const { record, whole, specials } = rendering;
  const before = index === 0 ? 0 : lengthUpTo(rendering, index, false, index);
  const end = lengthUpTo(rendering, index + 1, false, index);
  const content = (record.turns[index] as Turn).message.content.trim();
  const at = whole.slice(before, end).lastIndexOf(content);
  if (at < 0) return refuse(rendering, index, "the template does not print its content as it stands");
  return trimAfterSpecial(whole, { start: before + at, end }, specials);
}

/** Spans of the given turns, by the template's marks where it has them and they can be told apart, else by offsets. */
function turnSpans(rendering: Rendering, marked: readonly Span[], wanted: readonly number[]): Span[] {
  const { template, record } = rendering;
  const assistants = record.turns.flatMap(({ message }, i) => (message.role === "assistant" ? [i] : []));
  return wanted.map((index) => {
    const order = assistants.indexOf(index);
    if (order < 0) return contentSpan(rendering, index);
    if (!template.marksGenerations) return assistantSpan(rendering, index);
    const span = marked[order];
    if (span === undefined || marked.length !== assistants.length)
      return refuse(
        rendering,
        index,
        `the template marks ${marked.length} generations for ${assistants.length} assistants' turns, of which some are trained and some not`,
      );
    return span;
  });
}

/** The text without some spans of it. */
function without(length: number, spans: readonly Span[]): Span[] {
  const kept: Span[] = [];
  let start = 0;
  for (const span of spans) {
    kept.push({ start, end: span.start });
    start = span.end;
  }
  return [...kept, { start, end: length }];
}

/** The template must have a place for everything that the row holds. */
function requirePlaces({ template, record, whole, where }: Rendering): void {
  const missing = (what: string, name: string): never => {
    throw new HeirloomError("CHAT_TEMPLATE_INVALID", `the row has ${what}, and the chat template has no place for them (${name})`, {
      where,
      hint: "set data.tools to hermes (--tools hermes) to write tools as text, or name a template that knows them as data.template",
    });
  };
  if (record.tools !== null && !template.mentions("tools")) missing("tools", "tools");
  for (const { message } of record.turns) {
    const calls = message["tool_calls"] as readonly { readonly function: { readonly name: string } }[] | undefined;
    if (
      calls?.some(({ function: { name } }) => !whole.includes(name)) === true ||
      (calls !== undefined && !template.mentions("tool_calls"))
    )
      missing("function calls", "tool_calls");
    if (message["reasoning_content"] !== undefined && !template.mentions("reasoning_content"))
      throw new HeirloomError(
        "CHAT_TEMPLATE_INVALID",
        "the row has reasoning, and the chat template has no place for it (reasoning_content)",
        {
          where,
          hint: "name a template that knows reasoning_content as data.template, or take the reasoning out of the rows",
        },
      );
  }
}

function spansOf(rendering: Rendering, marked: readonly Span[], trainOn: TrainOn): readonly Span[] {
  const { turns } = rendering.record;
  const isAssistant = ({ message }: Turn): boolean => message.role === "assistant";
  const indices = turns.map((_, i) => i);
  if (trainOn === "all") {
    const excluded = indices.filter((i) => turns[i]?.weight === 0);
    return without(rendering.whole.length, turnSpans(rendering, marked, excluded));
  }
  const last = turns.findLastIndex(isAssistant);
  const isTrained = (turn: Turn, i: number): boolean =>
    turn.weight === null ? isAssistant(turn) && (trainOn === "assistant" || i === last) : turn.weight === 1;
  const wanted = indices.filter((i) => isTrained(turns[i] as Turn, i));
  const isUsual = wanted.length === turns.filter(isAssistant).length && wanted.every((i) => isAssistant(turns[i] as Turn));
  return rendering.template.marksGenerations && isUsual ? marked : turnSpans(rendering, marked, wanted);
}

/**
 * Renders a chat and finds what of it is trained. A template with `{% generation %}` marks says itself what assistants
 * wrote; otherwise a turn lies between the chat rendered up to it, with the generation prompt, and the chat rendered with
 * it. A turn includes its end-of-turn token, but not the line break that separates it from the next. Function calls are
 * the assistant's; observations are never trained, unless the row itself gives them a weight of 1.
 *
 * @param specials contents of the special tokens
 * @throws CHAT_TEMPLATE_INVALID if the template fails, has no place for tools that the row has, or if those renderings do
 * not begin the whole (templates that rewrite earlier turns, such as Qwen3's with several turns, need marks).
 */
export function renderTrained(
  template: ChatTemplate,
  record: ChatRecord,
  trainOn: TrainOn,
  specials: readonly string[],
  where: string,
): TrainedChat {
  const messages = record.turns.map(({ message }) => message);
  const { text, spans: marked } = template.render(messages, { where, tools: record.tools, variables: record.variables });
  const rendering: Rendering = { template, record, whole: text, specials, where };
  requirePlaces(rendering);
  return { text, spans: spansOf(rendering, marked, trainOn).filter(({ start, end }) => end > start) };
}
