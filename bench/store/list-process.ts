// One list in a fresh process, as JSON: milliseconds of the call alone, by the clock and of processor time, and the number of runs.
import { listRuns } from "../../src/runs/index.ts";

const began = performance.now();
const before = process.cpuUsage();
const runs = await listRuns(process.argv[2] ?? "");
const milliseconds = performance.now() - began;
const { user, system } = process.cpuUsage(before);
process.stdout.write(JSON.stringify({ milliseconds, processorMilliseconds: (user + system) / 1000, runs: runs.length }));
