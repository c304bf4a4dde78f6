import { HeirloomError } from "../core/index.ts";
import type { ChatTemplate } from "./chat-template.ts";
import { compileChatTemplate } from "./chat-template.ts";
import { type EncodedBatch, encodeBatch, type RecordBatch, type RowLimits } from "./encode-batch.ts";
import { type EncoderOptions, rowEncoder } from "./example.ts";
import { createTokenizer, type Tokenizer, type TokenizerFiles } from "./tokenizer.ts";

/** Everything that an encoder is made from; crosses to worker threads. */
export interface EncoderSetup {
  readonly tokenizer: { readonly name: string; readonly files: TokenizerFiles };
  /** Jinja source; null: there is none, and chats are refused. */
  readonly template: { readonly name: string; readonly source: string | null };
  /** The date that the template may print. */
  readonly now: Date;
  readonly options: EncoderOptions;
  readonly limits: RowLimits;
}

/** What encodes batches: on this thread, or on others. */
export interface BatchEncoder {
  /** How many batches are worth having under way. */
  readonly capacity: number;
  encode(batch: RecordBatch): Promise<EncodedBatch & { readonly usedClock: boolean }>;
  close(): Promise<void>;
}

/** The compiled template, when it is first asked for. @throws CHAT_TEMPLATE_INVALID if there is none */
export function templateOf({ template: { name, source }, tokenizer, now }: EncoderSetup, { namedTokens }: Tokenizer): () => ChatTemplate {
  let compiled: ChatTemplate | undefined;
  return () => {
    if (source === null) {
      throw new HeirloomError("CHAT_TEMPLATE_INVALID", "the data are chats, and the tokenizer has no chat template", {
        where: tokenizer.name,
        hint: "name a Jinja file as data.template; {prompt, completion} rows need none, and Alpaca's none with --format alpaca-prompt",
      });
    }
    compiled ??= compileChatTemplate(source, { name, namedTokens, now });
    return compiled;
  };
}

/** An encoder on this thread. @param tokenizer made from the setup's files already, if it is there */
export function encoderHere(setup: EncoderSetup, tokenizer = createTokenizer(setup.tokenizer.files, setup.tokenizer.name)): BatchEncoder {
  const template = templateOf(setup, tokenizer);
  let usesTemplate = false;
  const encode = rowEncoder(
    tokenizer,
    () => {
      usesTemplate = true;
      return template();
    },
    setup.options,
  );
  return {
    capacity: 1,
    encode(batch) {
      const encoded = encodeBatch(batch, encode, setup.limits, tokenizer.eosId);
      return Promise.resolve({ ...encoded, usedClock: usesTemplate && setup.template.source !== null && template().usedClock });
    },
    close: () => Promise.resolve(),
  };
}
