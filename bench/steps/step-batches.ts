// What a benchmark trains on: full rows of random tokens, all labelled, or the rows of a file, packed.
import { readFileSync } from "node:fs";
import { RandomStream } from "../../src/core/index.ts";
import { BatchSource, type Example, type MicroBatch, planEpoch } from "../../src/data/index.ts";
import type { StepSettings } from "./step-settings.ts";

/** Full rows of random tokens, in segments of equal length (the last one shorter); every token but a segment's first is labelled. */
function randomBatch({ batch, sequence, segment }: StepSettings, vocabSize: number, stream: RandomStream): MicroBatch {
  const size = batch * sequence;
  const length = segment === 0 ? sequence : Math.min(segment, sequence);
  const inputIds = Int32Array.from({ length: size }, () => stream.nextInt(vocabSize));
  const inSegment = (i: number): number => (i % sequence) % length;
  const labels = inputIds.map((id, i) => (inSegment(i) === 0 ? -100 : id));
  return {
    batch,
    sequence,
    inputIds,
    labels,
    positions: Int32Array.from({ length: size }, (_, i) => inSegment(i)),
    segments: Int32Array.from({ length: size }, (_, i) => 1 + Math.floor((i % sequence) / length)),
    tokenCount: size,
    labelTokenCount: labels.reduce((count, label) => count + (label === -100 ? 0 : 1), 0),
    examples: [],
  };
}

function readExamples(path: string): Example[] {
  const lines = readFileSync(path, "utf8").trimEnd().split("\n");
  return lines.map((line, index) => {
    const row = JSON.parse(line) as { input_ids: number[]; labels: number[] };
    return { inputIds: Int32Array.from(row.input_ids), labels: Int32Array.from(row.labels), row: index + 1, source: path };
  });
}

/** The batches of a process: as many random ones as it warms up and measures, or the first one of the file and then all of one epoch. */
export function stepBatches(settings: StepSettings, vocabSize: number): MicroBatch[] {
  if (settings.data === "") {
    const stream = new RandomStream(0, "bench");
    return Array.from({ length: settings.warmup + settings.steps }, () => randomBatch(settings, vocabSize, stream));
  }
  const examples = readExamples(settings.data);
  const options = { batchSize: settings.batch, maxLength: settings.sequence, packing: true, seed: 0 };
  const source = new BatchSource(examples, options);
  const epoch = planEpoch(examples, options, 0).map(() => source.next());
  return [...epoch.slice(0, 1).flatMap((first) => Array.from({ length: settings.warmup }, () => first)), ...epoch];
}
