// What llama.cpp makes of our files: logits and greedy answers, with an adapter or without.
import { getLlama, type Llama, LlamaLogLevel, type LlamaModel, type Token } from "node-llama-cpp";

/** llama.cpp on the CPU, from the prebuilt binary: nothing is built or downloaded. */
export function openLlamaCpp(): Promise<Llama> {
  return getLlama({ build: "never", gpu: false, skipDownload: true, progressLogs: false, logLevel: LlamaLogLevel.error });
}

/** An adapter file and how strongly it works. */
export interface LoraFile {
  readonly filePath: string;
  readonly scale: number;
}

async function withSequence<T>(
  model: LlamaModel,
  tokens: number,
  lora: LoraFile | null,
  work: (sequence: ReturnType<Awaited<ReturnType<LlamaModel["createContext"]>>["getSequence"]>) => Promise<T>,
): Promise<T> {
  const size = Math.max(64, tokens);
  const context = await model.createContext({
    contextSize: size,
    // More threads wait for each other in a loop: six tokens of a tiny model took 12 s instead of 0.05 on two busy cores.
    threads: 1,
    batchSize: size,
    ...(lora === null ? {} : { lora: { adapters: [lora] } }),
  });
  try {
    return await work(context.getSequence());
  } finally {
    await context.dispose();
  }
}

/** Logits after each of the tokens. */
export function logitsInLlamaCpp(
  model: LlamaModel,
  ids: readonly number[],
  vocabSize: number,
  lora: LoraFile | null = null,
): Promise<Float32Array[]> {
  return withSequence(model, ids.length, lora, async (sequence) => {
    const results = await sequence.controlledEvaluate(ids.map((id) => [id as Token, { generateNext: { logits: true } }]));
    return results.map((result) => {
      const logits = new Float32Array(vocabSize).fill(Number.NaN);
      for (const [token, value] of result?.next.logits ?? []) logits[token] = value;
      return logits;
    });
  });
}

/** The most likely next tokens, one after the other; an end token ends them. */
export function completeInLlamaCpp(
  model: LlamaModel,
  ids: readonly number[],
  count: number,
  lora: LoraFile | null = null,
): Promise<number[]> {
  return withSequence(model, ids.length + count, lora, async (sequence) => {
    const made: number[] = [];
    for await (const token of sequence.evaluate(ids as Token[], { temperature: 0 })) {
      if (model.isEogToken(token)) break;
      made.push(token);
      if (made.length === count) break;
    }
    return made;
  });
}

/** A text's tokens without BOS; control tokens that are written out in it are those tokens, as in a tokenizer.json. */
export function tokensInLlamaCpp(model: LlamaModel, text: string): number[] {
  return [...model.tokenize(text, true)];
}
