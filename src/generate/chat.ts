import { HeirloomError, readText } from "../core/index.ts";
import { openFile } from "../core/node/index.ts";
import { type ChatMessage, compileChatTemplate, type Tokenizer } from "../data/index.ts";

async function templateText(path: string): Promise<string> {
  const file = await openFile(path);
  try {
    return await readText(file);
  } finally {
    await file.close();
  }
}

/**
 * The ids of messages in a chat template, up to where the assistant's turn begins.
 *
 * @throws CHAT_TEMPLATE_INVALID also if there is no template, or one without a place for tools that are given
 */
export async function chatIds(
  tokenizer: Tokenizer,
  messages: readonly ChatMessage[],
  {
    template: path = null,
    now,
    tools,
  }: { readonly template?: string | null; readonly now?: Date; readonly tools?: readonly object[] } = {},
): Promise<number[]> {
  const source = path === null ? tokenizer.chatTemplate : await templateText(path);
  if (source === null) {
    throw new HeirloomError("CHAT_TEMPLATE_INVALID", "the tokenizer has no chat template", {
      where: tokenizer.name,
      hint: "leave out --chat to complete the prompt as it is; rows need {prompt, answer} instead of {messages}",
    });
  }
  const options = { name: path ?? tokenizer.name, namedTokens: tokenizer.namedTokens };
  const template = compileChatTemplate(source, now === undefined ? options : { ...options, now });
  if (tools !== undefined && tools.length > 0 && !template.mentions("tools")) {
    throw new HeirloomError("CHAT_TEMPLATE_INVALID", "the request has tools, and the chat template has no place for them (tools)", {
      where: template.name,
      hint: "leave the tools out, or ask a model whose template knows them",
    });
  }
  const { text } = template.render(messages, { addGenerationPrompt: true, ...(tools === undefined ? {} : { tools }) });
  return tokenizer.encode(text, { addSpecialTokens: false });
}
