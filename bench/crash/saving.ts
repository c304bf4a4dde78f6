// npm run bench -- saving: how long training stands still for a checkpoint, beside the copy that it needs and the write that it does not wait for.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { parseArgs } from "node:util";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { adapterSpec, resolveTargets } from "../../src/adapter/index.ts";
import { loadRuntime } from "../../src/compute/index.ts";
import { writeTextAtomic } from "../../src/core/node/index.ts";
import { CausalModel, loadModelFolder, loraPlans, newAdapterParameters } from "../../src/engine/index.ts";
import { openModelFolder } from "../../src/folders/index.ts";
import {
  adapterFiles,
  CheckpointSaver,
  type CheckpointState,
  type LiveArray,
  MemoryCopy,
  type PlannedFile,
  type Reading,
  trainerFiles,
} from "../../src/train/fixtures/inside.ts";
import { TrainingSession } from "../../src/train/index.ts";

const ROUNDS = 9;

interface Live {
  readonly session: TrainingSession;
  /** Every tensor that a checkpoint holds. */
  readonly tensors: readonly LiveArray[];
  files(read: Reading): PlannedFile[];
}

const PROGRESS = {
  step: 1,
  steps: 10,
  epoch: 0.1,
  epochs: 1,
  tokens: 0,
  batchSize: 1,
  evaluateEvery: null,
  saveEvery: null,
  seed: 0,
  log: [],
  best: null,
};

async function openLive(path: string): Promise<Live> {
  const folder = await openModelFolder(path);
  const base = await loadModelFolder(folder, { quantization: { type: "nf4", doubleQuant: true }, cache: "off" });
  await folder.folder.close();
  const spec = adapterSpec({ rank: 16, alpha: 32, targetModules: "all-linear", modulesToSave: ["embed_tokens", "lm_head"] });
  const resolved = resolveTargets(folder.spec, spec);
  const parameters = await newAdapterParameters({ spec, resolved, base, seed: 0, fullCopyDtype: "F32" });
  const runtime = await loadRuntime();
  const lora = loraPlans(resolved);
  const model = new CausalModel({ runtime, spec: folder.spec, base, parameters, lora, dropout: 0, activations: "recompute", threads: 1 });
  const training = {
    optimizer: "adamw" as const,
    weightDecay: 0,
    betas: [0.9, 0.999] as [number, number],
    epsilon: 1e-8,
    maxGradNorm: 1,
    lossNormalization: "token" as const,
    seed: 0,
  };
  const session = new TrainingSession(model, {
    groups: [],
    learningRate: 1e-4,
    schedule: { name: "constant", steps: 10, warmupSteps: 0 },
    training,
  });
  session.optimizer.step = 1;
  const tensors: LiveArray[] = [
    ...parameters.map(({ values }) => values),
    ...session.optimizer.slots.flatMap(({ state }) => Object.values(state)),
  ];
  const files = (read: Reading): PlannedFile[] => [
    ...adapterFiles({ spec, resolved, parameters }, read),
    ...trainerFiles(session, PROGRESS, read),
  ];
  return { session, tensors, files };
}

/** Processor time of the calling thread so far; Linux only. */
function threadMs(): number {
  return Number(readFileSync("/proc/thread-self/schedstat", "utf8").split(" ")[0]) / 1e6;
}

/** The longest that a timer of the training thread was late, and the processor time that the thread spent: it can make no update in it. */
function watchThread(): () => { readonly lateMs: number; readonly busyMs: number } {
  const before = threadMs();
  let last = performance.now();
  let lateMs = 0;
  const timer = setInterval(() => {
    lateMs = Math.max(lateMs, performance.now() - last);
    last = performance.now();
  }, 5);
  return () => {
    clearInterval(timer);
    return { lateMs, busyMs: threadMs() - before };
  };
}

/** The most memory that the process has had since {@link forgetPeak}, in MiB; Linux only. */
function peakMiB(): number {
  return Number(/VmHWM:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1]) / 1024;
}

function forgetPeak(): void {
  writeFileSync("/proc/self/clear_refs", "5");
}

interface Round {
  /** Into memory that is new, and into memory that has been written to before. */
  readonly copyMs: number;
  readonly copyAgainMs: number;
  readonly stallMs: number;
  readonly writeMs: number;
  readonly busyMs: number;
  readonly lateMs: number;
}

function timed(body: () => void): number {
  const began = performance.now();
  body();
  return performance.now() - began;
}

async function save(live: Live, saver: CheckpointSaver, run: string): Promise<Omit<Round, "copyMs" | "copyAgainMs">> {
  const began = performance.now();
  await saver.save({
    run,
    // Only what saving reads of it: the state is written as it is.
    state: { step: 1 } as CheckpointState,
    memory: live.tensors,
    files: live.files,
    verify: () => Promise.resolve(),
    retention: { keepLast: null, best: null },
  });
  const stallMs = performance.now() - began;
  const watched = watchThread();
  await saver.settle();
  const writeMs = performance.now() - began - stallMs;
  const { lateMs, busyMs } = watched();
  rmSync(join(run, "checkpoint-1"), { recursive: true });
  return { stallMs, writeMs, busyMs, lateMs };
}

/** Frees what was dropped and lets other processes have their turn, so that nothing of one figure falls into the next. */
async function settle(): Promise<void> {
  collectGarbage();
  await setTimeout(200);
}

async function measureRound(live: Live, saver: CheckpointSaver, again: MemoryCopy, run: string): Promise<Round> {
  const copies: LiveArray[] = [];
  await settle();
  const copyMs = timed(() => {
    for (const values of live.tensors) copies.push(values.slice());
  });
  copies.length = 0;
  await settle();
  const copyAgainMs = timed(() => void again.take(live.tensors));
  await settle();
  return { copyMs, copyAgainMs, ...(await save(live, saver, run)) };
}

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

const newSaver = (): CheckpointSaver => new CheckpointSaver({ flush: () => Promise.resolve(), report: () => Promise.resolve() });

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;

/** How much more memory than the live tensors a few checkpoints take at their peak, in MiB, before anything else was copied. */
async function measurePeak(live: Live, run: string): Promise<{ readonly peakMiB: number; readonly firstMs: number }> {
  const saver = newSaver();
  const before = process.memoryUsage.rss() / 2 ** 20;
  forgetPeak();
  const { stallMs: firstMs } = await save(live, saver, run);
  for (let more = 1; more < ROUNDS; more++) await save(live, saver, run);
  const peak = peakMiB() - before;
  await saver.close();
  return { peakMiB: peak, firstMs };
}

/** The benchmark as `npm run bench -- saving` runs it. */
export async function savingBench(args: string[]): Promise<void> {
  const { values } = parseArgs({ args, options: { model: { type: "string" }, out: { type: "string" } } });
  const run = mkdtempSync(join(tmpdir(), "heirloom-saving-"));
  try {
    const live = await openLive(values.model ?? "");
    const mib = live.tensors.reduce((sum, { byteLength }) => sum + byteLength, 0) / 2 ** 20;
    // Written to, as training does: memory that was never touched is no memory yet.
    for (const [i, tensor] of live.tensors.entries()) tensor.fill(1 / (i + 3));
    const { peakMiB: peak, firstMs } = await measurePeak(live, run);
    const [saver, again] = [newSaver(), new MemoryCopy()];
    await measureRound(live, saver, again, run); // the first one pays for memory that is new
    const rounds: Round[] = [];
    while (rounds.length < ROUNDS) rounds.push(await measureRound(live, saver, again, run));
    const report = reportOf({ mib, peak, firstMs, rounds });
    console.log(report);
    if (values.out !== undefined) {
      await writeTextAtomic(`bench/results/${values.out}.md`, `${report}\n`);
      const figures = { schemaVersion: 2, mib, peakMiB: peak, firstMs, rounds };
      await writeTextAtomic(`bench/results/${values.out}.json`, `${JSON.stringify(figures, null, 2)}\n`);
    }
    await live.session.model.dispose();
  } finally {
    rmSync(run, { recursive: true, force: true });
  }
}

interface Figures {
  readonly mib: number;
  readonly peak: number;
  readonly firstMs: number;
  readonly rounds: readonly Round[];
}

function reportOf({ mib, peak, firstMs, rounds }: Figures): string {
  const row = (what: string, each: readonly number[], digits = 0): string =>
    `| ${what} | ${median(each).toFixed(digits)} (${Math.min(...each).toFixed(digits)} – ${Math.max(...each).toFixed(digits)}) |`;
  const of = (key: keyof Round): number[] => rounds.map((round) => round[key]);
  const against = (key: keyof Round): number[] => rounds.map((round) => round.stallMs / round[key]);
  return [
    "# saving",
    "",
    `${cpus()[0]?.model.trim() ?? "unknown"}, ${cpus().length} cores, Node ${process.version}, load ${loadavg()[0]?.toFixed(1)}. A checkpoint of ${mib.toFixed(0)} MiB (rank 16 on all`,
    `linears, both embeddings as fp32 copies, AdamW's moments), ${ROUNDS} rounds after one to warm up. The ratios are of each round's own figures.`,
    "",
    "| ms | median (min – max) |",
    "| --- | --- |",
    row("copying the same tensors into new memory and nothing else", of("copyMs")),
    row("copying them into memory that has been written to before, and nothing else", of("copyAgainMs")),
    row("training stands still: the copy, into the buffers of the checkpoint before", of("stallMs")),
    row("hashing, writing and syncing, beside training", of("writeMs")),
    row("processor time of training's thread meanwhile", of("busyMs")),
    row("longest that training's thread was held up meanwhile", of("lateMs")),
    "",
    "| training stands still | times the copy, median (min – max) |",
    "| --- | --- |",
    row("against the copy into new memory", against("copyMs"), 2),
    row("against the copy into used memory (target: at most 1.1)", against("copyAgainMs"), 2),
    "",
    `The first checkpoint of a run, whose buffers are new: ${firstMs.toFixed(0)} ms. Peak of ${ROUNDS} checkpoints one after the other above what`,
    `the process has without them: ${peak.toFixed(0)} MiB, ${(peak / mib).toFixed(2)} times what a checkpoint holds.`,
  ].join("\n");
}
