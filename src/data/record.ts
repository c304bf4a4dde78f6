import type { ChatMessage } from "./chat-template.ts";

/** One message of a chat, and whether it is trained. */
export interface Turn {
  readonly message: ChatMessage;
  /** 1: trained, 0: not, as the row itself says; null: it says nothing, and `trainOn` decides. */
  readonly weight: 0 | 1 | null;
}

/** A chat as the template takes it. */
export interface ChatRecord {
  readonly kind: "chat";
  readonly turns: readonly Turn[];
  /** Functions that the assistant may call, each `{ type: "function", function }`; null without any. */
  readonly tools: readonly object[] | null;
  /** Further variables of the template (`chat_template_kwargs`, as TRL calls them). */
  readonly variables: Readonly<Record<string, unknown>>;
}

/** What every row form becomes: the only thing that the encoder knows. */
export type DataRecord =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "completion"; readonly prompt: string; readonly completion: string }
  | ChatRecord;

/** A chat whose turns say nothing of being trained, without tools. */
export function plainChat(messages: readonly ChatMessage[]): ChatRecord {
  return { kind: "chat", turns: messages.map((message) => ({ message, weight: null })), tools: null, variables: {} };
}
