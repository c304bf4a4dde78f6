import { HeirloomError, isHeirloomError } from "../core/index.ts";
import type { ChatMessage, ChatTemplate, RenderedChat, Span } from "./chat-template.ts";

/** What a span of an assistant's turn ends with after its last special token: whitespace that only separates turns. */
const TRAILING_SPACE = /\s+$/;

function refuse(template: ChatTemplate, index: number, reason: string, where: string): never {
  throw new HeirloomError("CHAT_TEMPLATE_INVALID", `the assistant's turn ${index + 1} cannot be told from the rest: ${reason}`, {
    where,
    hint: `put {% generation %} … {% endgeneration %} around what the assistant writes in ${template.name}`,
  });
}

function trimAfterSpecial(text: string, span: Span, specials: readonly string[]): Span {
  const content = text.slice(span.start, span.end).replace(TRAILING_SPACE, "");
  return specials.some((special) => content.endsWith(special)) ? { start: span.start, end: span.start + content.length } : span;
}

/**
 * Renders a chat and finds what assistants wrote in it. A template with `{% generation %}` marks says so itself;
 * otherwise a turn lies between the chat rendered up to it, with the generation prompt, and the chat rendered with it.
 * The turn includes its end-of-turn token, but not the line break that separates it from the next turn.
 *
 * @param specials contents of the special tokens
 * @throws CHAT_TEMPLATE_INVALID if the template fails, or if those renderings do not begin the whole (templates that
 * rewrite earlier turns, such as Qwen3's with several turns, need marks).
 */
export function renderWithAssistantSpans(
  template: ChatTemplate,
  messages: readonly ChatMessage[],
  specials: readonly string[],
  where: string,
): RenderedChat {
  const whole = template.render(messages, { where });
  if (template.marksGenerations) return whole;
  const spans: Span[] = [];
  for (const [i, message] of messages.entries()) {
    if (message.role !== "assistant") continue;
    let before: string;
    try {
      before = template.render(messages.slice(0, i), { addGenerationPrompt: true, where }).text;
    } catch (error) {
      if (!isHeirloomError(error)) throw error;
      return refuse(template, i, `the template does not render the messages before it alone (${error.problems[0].message})`, where);
    }
    const after = i === messages.length - 1 ? whole.text : template.render(messages.slice(0, i + 1), { where }).text;
    if (!whole.text.startsWith(before))
      refuse(template, i, "the messages before it, with the generation prompt, do not begin the whole chat", where);
    if (!whole.text.startsWith(after) || after.length < before.length)
      refuse(template, i, "the messages up to it do not begin the whole chat", where);
    if (after.length > before.length) spans.push(trimAfterSpecial(whole.text, { start: before.length, end: after.length }, specials));
  }
  return { text: whole.text, spans };
}
