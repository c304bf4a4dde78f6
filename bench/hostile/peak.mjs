// Loaded before the program: says its own peak memory and processor time on file descriptor 3 as it ends.
import { writeSync } from "node:fs";
import { isMainThread } from "node:worker_threads";

process.on("exit", () => {
  if (!isMainThread) return;
  const { maxRSS, userCPUTime, systemCPUTime } = process.resourceUsage();
  writeSync(3, JSON.stringify({ mib: maxRSS / 1024, seconds: (userCPUTime + systemCPUTime) / 1e6 }));
});
