import type { CompletedToken, CompletionStop } from "../generate/index.ts";

/** What a choice gave: all of it, or what came since the last time. */
export interface Piece {
  readonly index: number;
  readonly text: string;
  readonly tokens: readonly CompletedToken[];
}

/** How the answers of one endpoint are put; made for one request. Each gives an entry of `choices`. */
export interface AnswerFormat {
  /** What the prompt is called in the request. */
  readonly promptParam: "messages" | "prompt";
  readonly idPrefix: string;
  /** `object` of a whole answer. */
  readonly object: string;
  /** `object` of a part of a streamed answer. */
  readonly chunkObject: string;
  /** What a streamed choice begins with; null: nothing. */
  opening(index: number): object | null;
  /** Null if there is nothing to say. */
  part(piece: Piece): object | null;
  closing(index: number, stop: CompletionStop): object;
  whole(piece: Piece, stop: CompletionStop): object;
}

/** OpenAI's word for what ended a choice. */
export function finishReason(stop: CompletionStop): "stop" | "length" {
  return stop === "length" ? "length" : "stop";
}
