// The real model's GGUF file in llama.cpp.
import type { LlamaModel } from "node-llama-cpp";
import { openLlamaCpp } from "../export/llama-cpp.ts";

/** Runs `work` with a GGUF file opened by llama.cpp, and closes it. */
export async function withLlamaCpp<T>(gguf: string, work: (model: LlamaModel) => Promise<T>, vocabOnly = false): Promise<T> {
  const llama = await openLlamaCpp();
  try {
    return await work(await llama.loadModel({ modelPath: gguf, gpuLayers: 0, vocabOnly }));
  } finally {
    await llama.dispose();
  }
}

/** Ids of a text; with `special`, control tokens in the text become their ids. */
export function llamaIds(model: LlamaModel, text: string, special = false): number[] {
  return [...model.tokenize(text, special)];
}
