import { formatBytes } from "../../core/index.ts";
import { defineCommand, type Session } from "../command.ts";
import { textFlag, textsFlag } from "../config-flags.ts";
import { Conversation } from "../conversation.ts";
import { engineSources, modelArgument } from "../engine-source.ts";
import { pathFrom } from "../paths.ts";
import { type SamplingFlags, samplingFlags, samplingFrom } from "../sampling-flags.ts";
import { escapeText } from "../terminal/index.ts";
import { wholeNumber } from "../whole-number.ts";

interface Flags extends SamplingFlags {
  readonly adapter?: readonly string[];
  readonly base?: string;
  readonly system?: string;
  readonly maxTokens?: number;
  readonly context?: number;
}

/** The conversation, for `--json`. */
interface ChatResult {
  readonly model: string;
  readonly messages: Conversation["messages"];
  /** Tokens of all answers. */
  readonly tokens: number;
}

/** Reads lines to the end or to /quit. Ctrl-C stops an answer; where there is none, it says how to end, and the second one ends. */
async function talk(conversation: Conversation, { terminal }: Session, say: (message: string) => void): Promise<void> {
  let answering: AbortController | null = null;
  let wasWarned = false;
  const release = terminal.onInterrupt(() => {
    if (answering !== null) return answering.abort();
    if (wasWarned) return terminal.endInterrupted();
    wasWarned = true;
    say("/quit or Ctrl-D ends; so does Ctrl-C again");
  });
  const prompt = (): void => {
    if (terminal.stderr.isTTY) terminal.stderr.write("> ");
  };
  try {
    prompt();
    for await (const line of terminal.lines()) {
      wasWarned = false;
      answering = new AbortController();
      const goesOn = await conversation.take(line, answering.signal);
      answering = null;
      if (!goesOn) return;
      prompt();
    }
  } finally {
    release();
  }
}

export const chat = defineCommand<Flags, [path: string], ChatResult>({
  brief: "Talk with an adapter or a model",
  description:
    "Talk with an adapter or a model: a line is a turn. /help lists what else can be typed. Ctrl-C stops an answer. Lines may also be piped in.",
  examples: [
    { line: "chat runs/a", what: "with a run's adapter, the likeliest token each time" },
    { line: 'chat models/m --system "Answer in verse." --temperature 0.7', what: "with a model, drawn" },
    { line: "chat runs/a --adapter runs/b", what: "two adapters; /adapter b changes to the other" },
  ],
  flags: {
    adapter: textsFlag("Another adapter of the same base, for /adapter, and what it is called; may be given several times", "name=path"),
    base: textFlag("Base model, if the record names none or another is meant", "path"),
    system: textFlag("System message", "text"),
    maxTokens: {
      kind: "parsed",
      parse: wholeNumber,
      optional: true,
      brief: "Longest answer (to the end of the context)",
      placeholder: "tokens",
    },
    context: { kind: "parsed", parse: wholeNumber, optional: true, brief: "Longest conversation (the model's own)", placeholder: "tokens" },
    ...samplingFlags,
  },
  positional: {
    kind: "tuple",
    parameters: [modelArgument],
  },
  handlesInterrupts: true,
  async run(flags, [path], session) {
    const { folder, terminal, stream } = session;
    const say = (message: string): void => terminal.stderr.write(`${escapeText(message)}\n`);
    const { checkSampling, engineNames, openGenerationEngine } = await import("../../generate/index.ts");
    const sampling = samplingFrom(flags, checkSampling);
    const sources = await engineSources([path, ...(flags.adapter ?? [])], folder);
    const engine = await openGenerationEngine({
      sources,
      slots: 1,
      ...(flags.base === undefined ? {} : { base: pathFrom(folder, flags.base) }),
      ...(flags.context === undefined ? {} : { contextLength: flags.context }),
    });
    try {
      const [model = ""] = engineNames(engine, sources);
      const contextLength = engine.models.find(({ id }) => id === model)?.contextLength;
      for (const note of engine.notes) say(note);
      say(`${model}: up to ${contextLength} tokens (${formatBytes(engine.cacheBytes)}); /help lists the commands`);
      const options = { engine, model, folder, say, system: flags.system ?? null, maxTokens: flags.maxTokens ?? null };
      const conversation = new Conversation({
        ...options,
        sampling,
        stop: flags.stop ?? [],
        answer: (text) => stream(escapeText(text)),
      });
      await talk(conversation, session, say);
      return { model: conversation.model, messages: conversation.messages, tokens: conversation.tokens };
    } finally {
      await engine.close();
    }
  },
  render: () => "",
});
