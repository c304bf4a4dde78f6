// llama.cpp through node-llama-cpp: the prebuilt binary for CPUs; nothing is built or downloaded.
import { getLlama, LlamaLogLevel, type LlamaModel, type Token } from "node-llama-cpp";

/** Runs `work` with a GGUF file opened by llama.cpp, and closes it. */
export async function withLlamaCpp<T>(gguf: string, work: (model: LlamaModel) => Promise<T>, vocabOnly = false): Promise<T> {
  const llama = await getLlama({ build: "never", gpu: false, skipDownload: true, progressLogs: false, logLevel: LlamaLogLevel.error });
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

/** Logits after each of the tokens, as llama.cpp computes them: `[tokens][vocabulary]`. */
export async function llamaLogits(model: LlamaModel, ids: readonly number[], vocabSize: number): Promise<Float32Array[]> {
  const context = await model.createContext({ contextSize: Math.max(64, ids.length), batchSize: Math.max(64, ids.length) });
  const sequence = context.getSequence();
  const results = await sequence.controlledEvaluate(ids.map((id) => [id as Token, { generateNext: { logits: true } }]));
  const rows = results.map((result) => {
    const logits = new Float32Array(vocabSize);
    for (const [token, value] of result?.next.logits ?? []) logits[token] = value;
    return logits;
  });
  await context.dispose();
  return rows;
}
