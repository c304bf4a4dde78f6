import type { DataConfig } from "../config/index.ts";
import type { DatasetReading } from "./load-dataset.ts";

/** How a configuration wants rows to be read. Records of runs from before a key existed lack it: then its default holds. */
export function datasetReading({ format, columns, textRows, trainOn, tools, onInvalid }: Partial<DataConfig>): DatasetReading {
  return {
    format: format ?? null,
    columns: columns ?? {},
    textRows: textRows ?? "file",
    trainOn: trainOn ?? "assistant",
    tools: tools ?? "template",
    onInvalid: onInvalid ?? "error",
  };
}
