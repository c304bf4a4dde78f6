import { Template } from "@huggingface/jinja";
import { HeirloomError } from "../core/index.ts";
import { renderBounded } from "./bounded-jinja.ts";
import { formatTime } from "./strftime.ts";

/** One turn of a chat; further fields reach the template as they are. */
export interface ChatMessage {
  readonly role: string;
  readonly content: string;
  readonly [field: string]: unknown;
}

/** Characters `start` (inclusive) to `end` (exclusive) of a rendered chat. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** A chat as text, with the parts that its template marks as generated. */
export interface RenderedChat {
  readonly text: string;
  /** What `{% generation %}` … `{% endgeneration %}` enclosed, in order, also where that is nothing. */
  readonly spans: readonly Span[];
}

/** A compiled chat template. */
export interface ChatTemplate {
  /** Where its source came from, for messages. */
  readonly name: string;
  /** Whether the template itself marks what an assistant generates. */
  readonly marksGenerations: boolean;
  /** Whether its source has this name in it: a template that never mentions `tools` leaves them out in silence. */
  mentions(name: string): boolean;
  /** Whether a rendering so far asked for the date; its result then depends on `now`. */
  readonly usedClock: boolean;
  /** @throws CHAT_TEMPLATE_INVALID if the template fails or refuses the messages. */
  render(messages: readonly ChatMessage[], options?: RenderOptions): RenderedChat;
}

/** How one chat is rendered. */
export interface RenderOptions {
  /** Whether to end with what introduces an assistant's turn. @defaultValue false */
  readonly addGenerationPrompt?: boolean;
  /** Functions that the assistant may call. @defaultValue none */
  readonly tools?: readonly object[] | null;
  /** Further variables by their names. */
  readonly variables?: Readonly<Record<string, unknown>>;
  /** The row, for messages. */
  readonly where?: string;
}

/** What a chat template is compiled with. */
export interface ChatTemplateOptions {
  /** Names that the template knows: `bos_token`, `eos_token` … */
  readonly namedTokens: Readonly<Record<string, string>>;
  /** The moment that `strftime_now` tells, in local time as in transformers. @defaultValue the present */
  readonly now?: Date;
  readonly name: string;
}

// Noncharacters: Unicode reserves them for a program's own use, so no text should hold them.
const OPEN_MARK = "\ufdd0";
const CLOSE_MARK = "\ufdd1";
const MARKS = /[\ufdd0\ufdd1]/;
/** A generation tag with what `lstrip_blocks` and `trim_blocks` would remove around it. */
const GENERATION_TAG = /(?:^[ \t]*)?\{%(-?)\s*(end)?generation\s*(-?)%\}\n?/gm;

/** Turns generation tags into expressions that print a mark; an expression, unlike a block, needs the whitespace removed by hand. */
function prepareSource(source: string): string {
  return source.replace(GENERATION_TAG, (_tag, left: string, end: string | undefined, right: string) => {
    return `{{${left} ${end === undefined ? "heirloom_open" : "heirloom_close"} ${right}}}`;
  });
}

function takeMarks(marked: string, fail: (reason: string) => never): RenderedChat {
  const spans: Span[] = [];
  let text = "";
  let openedAt: number | undefined;
  for (const piece of marked.split(/([\ufdd0\ufdd1])/)) {
    if (piece === OPEN_MARK) {
      if (openedAt !== undefined) fail("it opens a generation inside a generation");
      openedAt = text.length;
    } else if (piece === CLOSE_MARK) {
      if (openedAt === undefined) fail("it closes a generation that it did not open");
      spans.push({ start: openedAt, end: text.length });
      openedAt = undefined;
    } else text += piece;
  }
  if (openedAt !== undefined) fail("it does not close a generation");
  return { text, spans };
}

/**
 * Compiles a Jinja chat template with the extras of transformers: `raise_exception`, `strftime_now`, `tojson`, loop
 * controls, generation marks, trimmed blocks. A rendering has limits: templates come from strangers.
 *
 * @throws CHAT_TEMPLATE_INVALID if the source is not valid.
 */
export function compileChatTemplate(source: string, options: ChatTemplateOptions): ChatTemplate {
  const { name, namedTokens } = options;
  const now = options.now ?? new Date();
  let usedClock = false;
  const extras = {
    strftime_now: (format: string): string => {
      usedClock = true;
      return formatTime(now, format);
    },
    heirloom_open: OPEN_MARK,
    heirloom_close: CLOSE_MARK,
    // transformers passes this (and tools) as None; a template that tests `is not none` must not see "undefined".
    documents: null,
  };
  let template: Template;
  try {
    template = new Template(prepareSource(source));
  } catch (cause) {
    throw new HeirloomError("CHAT_TEMPLATE_INVALID", `the chat template could not be parsed: ${reasonOf(cause)}`, { where: name, cause });
  }
  const marksGenerations = new RegExp(GENERATION_TAG).test(source);
  return {
    name,
    marksGenerations,
    mentions: (word) => source.includes(word),
    get usedClock() {
      return usedClock;
    },
    render(messages, { addGenerationPrompt = false, where = name, tools = null, variables = {} } = {}) {
      const fail = (reason: string, cause?: unknown): never => {
        throw new HeirloomError("CHAT_TEMPLATE_INVALID", `the chat template failed: ${reason}`, {
          where,
          hint: `check the messages of this row against what the template (${name}) accepts`,
          ...(cause === undefined ? {} : { cause }),
        });
      };
      if (marksGenerations && MARKS.test(JSON.stringify([messages, tools, variables])))
        fail("a message holds the noncharacter U+FDD0 or U+FDD1");
      let rendered: string;
      try {
        rendered = renderBounded(template, {
          ...namedTokens,
          ...extras,
          ...variables,
          tools,
          messages,
          add_generation_prompt: addGenerationPrompt,
        });
      } catch (cause) {
        return fail(reasonOf(cause), cause);
      }
      return marksGenerations ? takeMarks(rendered, fail) : { text: rendered, spans: [] };
    },
  };
}

function reasonOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
