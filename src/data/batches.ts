import type { Problem } from "../core/index.ts";
import type { EncodedBatch, RecordBatch } from "./encode-batch.ts";
import type { BatchEncoder } from "./encoder.ts";
import type { FileReading } from "./read-records.ts";
import type { DataRecord } from "./record.ts";

/** Characters of a batch: large enough that handing it to another thread costs little, small enough that all have work. */
const BATCH_CHARACTERS = 128 * 1024;

/** A batch with what became of it. */
export interface FinishedBatch {
  readonly batch: RecordBatch;
  readonly encoded: EncodedBatch & { readonly usedClock: boolean };
  /** Faults of rows among those of the batch, and of the file. */
  readonly faults: readonly RowFault[];
}

/** What is wrong with a row; row null: with the file. */
export interface RowFault {
  readonly row: number | null;
  readonly problems: readonly Problem[];
}

function charactersOf(record: DataRecord): number {
  if (record.kind === "text") return record.text.length;
  if (record.kind === "completion") return record.prompt.length + record.completion.length;
  return record.turns.reduce((sum, { message }) => sum + message.content.length, 0);
}

interface OpenBatch {
  records: DataRecord[];
  rows: number[];
  faults: RowFault[];
  characters: number;
}
const emptyBatch = (): OpenBatch => ({ records: [], rows: [], faults: [], characters: 0 });

/** Reads a file, encodes it in batches, several at a time where the encoder can, and gives them back in order. */
export async function* encodeFile(
  path: string,
  reading: FileReading,
  encoder: BatchEncoder,
): AsyncGenerator<FinishedBatch, void, undefined> {
  const underWay: Promise<FinishedBatch>[] = [];
  const start = ({ records, rows, faults }: OpenBatch): void => {
    const batch: RecordBatch = { records, rows, path };
    const work = encoder.encode(batch).then((encoded) => ({ batch, encoded, faults }));
    // Awaited in order; one that fails meanwhile must not count as unhandled.
    work.catch(() => undefined);
    underWay.push(work);
  };
  let open = emptyBatch();
  for await (const read of reading.rows()) {
    if ("problems" in read) open.faults.push(read);
    else
      for (const record of read.records) {
        open.records.push(record);
        open.rows.push(read.row);
        open.characters += charactersOf(record);
      }
    if (open.characters < BATCH_CHARACTERS && open.faults.length < 20) continue;
    start(open);
    open = emptyBatch();
    if (underWay.length > encoder.capacity) yield await (underWay.shift() as Promise<FinishedBatch>);
  }
  start(open);
  for (const work of underWay) yield await work;
}
