import { totalmem } from "node:os";

/** The most memory that this process can ever have: the machine's, or a container's limit below it. */
function memoryLimit(): number {
  // 0 or more than there is: no limit is set.
  const limit = process.constrainedMemory();
  return limit > 0 ? Math.min(limit, totalmem()) : totalmem();
}

/** Memory that can be had now, beside what this process and others have. */
function memoryLeft(): number {
  // macOS counts as free only pages that hold nothing at all, which on a machine that has run for a while are few.
  return process.platform === "darwin" ? memoryLimit() : process.availableMemory();
}

/** Bytes that may be planned with: a share of all memory that this process can have, as far as it can be had now. */
export function memoryBudget(share: number): number {
  return Math.floor(Math.min(share * memoryLimit(), memoryLeft()));
}
