// The run store: events appended and followed in a second, and what a list of a thousand runs takes.
//
//   npm run build && npm run bench -- store [--json FILE] [--main dist/cli/main.js]
import { execFileSync } from "node:child_process";
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { InternalError } from "../../src/core/index.ts";
import { SampleStore, sampleEvents } from "../../src/runs/fixtures/store.ts";
import { EventLog, INDEX_FILE, listRuns, readEvents, tailEvents } from "../../src/runs/index.ts";
import { type Spread, spread, writeKernelReport } from "../steps/report.ts";

const ROUNDS = 7;
const EVENTS = 50_000;
/** As a run that evaluates and keeps checkpoints flushes its log. */
const EVENTS_PER_FLUSH = 1000;
const RUNS = 1000;
const STEPS_PER_RUN = 100;
const MAIN = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
const LIST = fileURLToPath(new URL("list-process.ts", import.meta.url));
const REGISTER = fileURLToPath(new URL("../../tools/register-typescript.mjs", import.meta.url));

/** A step as training reports it. */
function stepEvent(step: number): { readonly type: string; readonly step: number } & Readonly<Record<string, unknown>> {
  const rates = { default: 2e-4 / step, embeddings: 2e-5 / step };
  const pace = { tokens: 1024, tokensPerSecond: 163.91234, elapsedSeconds: step * 6.2, remainingSeconds: (EVENTS - step) * 6.2 };
  return { type: "step", step, steps: EVENTS, loss: 1 / step, learningRates: rates, gradNorm: 1.2345678, ...pace, rssBytes: 2e9 };
}

async function seconds(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work();
  return (performance.now() - began) / 1000;
}

async function append(log: EventLog): Promise<void> {
  for (let step = 1; step <= EVENTS; step++) {
    await log.append(stepEvent(step), new Date());
    if (step % EVENTS_PER_FLUSH === 0) await log.flush();
  }
}

async function follow(run: string): Promise<void> {
  let seen = 0;
  for await (const { event } of tailEvents(run)) if (event.type === "step" && ++seen === EVENTS) return;
}

/** Events a second: appended with a flush to the disk after each thousand, appended while one follows the file, and read. */
async function measureEvents(store: SampleStore): Promise<Record<string, Spread>> {
  const rates: Record<"appended" | "appendedAndFollowed" | "read", number[]> = { appended: [], appendedAndFollowed: [], read: [] };
  for (let round = 0; round < ROUNDS; round++) {
    const alone = store.add(`events-${round}`, { events: [] });
    rates.appended.push(EVENTS / (await seconds(async () => withLog(alone, append))));
    rates.read.push(EVENTS / (await seconds(() => readEvents(alone))));
    const followed = store.add(`followed-${round}`, { events: [] });
    rates.appendedAndFollowed.push(EVENTS / (await seconds(() => Promise.all([withLog(followed, append), follow(followed)]))));
  }
  return Object.fromEntries(Object.entries(rates).map(([name, each]) => [name, spread(each)]));
}

async function withLog(run: string, work: (log: EventLog) => Promise<void>): Promise<void> {
  const log = await EventLog.open(join(run, "events.jsonl"));
  await work(log);
  await log.close();
}

function listInProcess(store: string): Record<"milliseconds" | "processorMilliseconds", number> {
  const said: unknown = JSON.parse(execFileSync(process.execPath, ["--import", REGISTER, LIST, store], { encoding: "utf8" }));
  const { runs, ...times } = said as Record<"milliseconds" | "processorMilliseconds" | "runs", number>;
  if (runs !== RUNS) throw new InternalError(`expected ${RUNS} runs, found ${runs}`);
  return times;
}

async function processorMilliseconds(work: () => Promise<unknown>): Promise<number> {
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

/** Milliseconds of a list, by the clock and of processor time, which other load does not stretch: without an index, with one, in a fresh process, and of the whole command (beside `heirloom --version`). */
async function measureLists(store: SampleStore, main: string): Promise<Record<string, Spread>> {
  for (let i = 0; i < RUNS; i++) store.add(`run-${String(i).padStart(4, "0")}`, { events: sampleEvents(STEPS_PER_RUN) });
  const command = (inputs: readonly string[]): Promise<number> =>
    seconds(async () => void execFileSync(process.execPath, [main, ...inputs], { encoding: "utf8", maxBuffer: 2 ** 26 }));
  const names = ["withoutIndex", "withIndex", "withIndexProcessor", "freshProcess", "freshProcessProcessor", "command", "programAlone"];
  const times: Record<string, number[]> = Object.fromEntries(names.map((name) => [name, []]));
  for (let round = 0; round < ROUNDS; round++) {
    rmSync(join(store.folder, INDEX_FILE), { force: true });
    times["withoutIndex"]?.push(1000 * (await seconds(() => listRuns(store.folder))));
    times["withIndex"]?.push(1000 * (await seconds(() => listRuns(store.folder))));
    times["withIndexProcessor"]?.push(await processorMilliseconds(() => listRuns(store.folder)));
    const fresh = listInProcess(store.folder);
    times["freshProcess"]?.push(fresh.milliseconds);
    times["freshProcessProcessor"]?.push(fresh.processorMilliseconds);
    times["command"]?.push(1000 * (await command(["runs", "list", "--dir", store.folder])));
    times["programAlone"]?.push(1000 * (await command(["--version"])));
  }
  return Object.fromEntries(Object.entries(times).map(([name, each]) => [name, spread(each)]));
}

/** The benchmark as `npm run bench -- store` runs it. */
export async function storeBench(args: string[]): Promise<void> {
  const { values } = parseArgs({ args, options: { json: { type: "string" }, main: { type: "string", default: MAIN } } });
  if (!existsSync(values.main)) throw new InternalError("expected the built program: npm run build");
  const stores = [new SampleStore(), new SampleStore()] as const;
  try {
    const eventsPerSecond = await measureEvents(stores[0]);
    const listMilliseconds = await measureLists(stores[1], values.main);
    for (const [title, rows] of Object.entries({ "events/s": eventsPerSecond, "ms to list 1,000 runs": listMilliseconds })) {
      for (const [name, { median, min, max }] of Object.entries(rows))
        process.stdout.write(
          `${title.padEnd(22)} ${name.padEnd(20)} ${median.toFixed(0).padStart(8)}  (${min.toFixed(0)} – ${max.toFixed(0)})\n`,
        );
    }
    const settings = { rounds: ROUNDS, events: EVENTS, eventsPerFlush: EVENTS_PER_FLUSH, runs: RUNS, stepsPerRun: STEPS_PER_RUN };
    await writeKernelReport(values.json, { name: "store", settings, eventsPerSecond, listMilliseconds });
  } finally {
    for (const store of stores) store.close();
  }
}
