// core: errors, byte sources, random numbers, units. Knows nothing of tensors,
// models or files in any format; what touches Node lies in core/node.
export { type ByteSource, type Folder, memorySource, readAll, readText } from "./bytes.ts";
export { ERROR_CODES, type ErrorCode, type ExitCode } from "./error-codes.ts";
export { HeirloomError, type HeirloomErrorOptions, InternalError, isHeirloomError, type Problem, ProblemList } from "./errors.ts";
export { escapeUnprintable } from "./escape.ts";
export { listNames } from "./list-names.ts";
export { nameKey, philox, RandomStream, shuffledIndices } from "./random.ts";
export { nearestName } from "./suggest.ts";
export { type KernelTimes, NO_TRACE, type ProgramWork, type SpanKind, type TimedWork, type Trace, type TraceArguments } from "./trace.ts";
export { formatBytes, formatCount, formatMetric, formatMetricValue, formatRate, formatSeconds } from "./units.ts";
