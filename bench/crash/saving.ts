// npm run bench -- saving: how long training stands still for a checkpoint, beside the copy that it needs and the write that it does not wait for.
import { mkdtempSync, rmSync } from "node:fs";
import { cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { adapterSpec, resolveTargets } from "../../src/adapter/index.ts";
import { loadRuntime } from "../../src/compute/index.ts";
import { writeTextAtomic } from "../../src/core/node/index.ts";
import { CausalModel, loadModelFolder, loraPlans, newAdapterParameters } from "../../src/engine/index.ts";
import { openModelFolder } from "../../src/folders/index.ts";
import { adapterFiles, CheckpointSaver, type CheckpointState, type PlannedFile, trainerFiles } from "../../src/train/fixtures/inside.ts";
import { TrainingSession } from "../../src/train/index.ts";

const ROUNDS = 5;

interface Live {
  readonly session: TrainingSession;
  /** Every tensor that a checkpoint holds. */
  readonly tensors: readonly Float32Array[];
  files(): PlannedFile[];
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
  const tensors = [...parameters.map(({ values }) => values), ...session.optimizer.slots.flatMap(({ state }) => Object.values(state))];
  return { session, tensors, files: () => [...adapterFiles({ spec, resolved, parameters }), ...trainerFiles(session, PROGRESS)] };
}

/** The longest that a timer of the training thread was late: what it can make no update in. */
function watchThread(): () => number {
  let last = performance.now();
  let longest = 0;
  const timer = setInterval(() => {
    longest = Math.max(longest, performance.now() - last);
    last = performance.now();
  }, 1);
  return () => {
    clearInterval(timer);
    return longest;
  };
}

interface Round {
  readonly copyMs: number;
  readonly stallMs: number;
  readonly writeMs: number;
  readonly lateMs: number;
}

async function measureRound(live: Live, run: string): Promise<Round> {
  const bytes = live.tensors.reduce((sum, { byteLength }) => sum + byteLength, 0);
  const beforeCopy = performance.now();
  const copies = live.tensors.map((values) => values.slice());
  const copyMs = performance.now() - beforeCopy;
  copies.length = 0;
  const saver = new CheckpointSaver({ flush: () => Promise.resolve(), report: () => Promise.resolve() });
  const began = performance.now();
  // Only what saving reads of it: the state is written as it is.
  const state = { step: 1 } as CheckpointState;
  await saver.save({ run, state, files: live.files(), verify: () => Promise.resolve(), retention: { keepLast: null, best: null } }, bytes);
  const stallMs = performance.now() - began;
  const late = watchThread();
  await saver.settle();
  const lateMs = late();
  const writeMs = performance.now() - began - stallMs;
  rmSync(join(run, "checkpoint-1"), { recursive: true });
  return { copyMs, stallMs, writeMs, lateMs };
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;

/** The benchmark as `npm run bench -- saving` runs it. */
export async function savingBench(args: string[]): Promise<void> {
  const { values } = parseArgs({ args, options: { model: { type: "string" }, out: { type: "string" } } });
  const run = mkdtempSync(join(tmpdir(), "heirloom-saving-"));
  try {
    const live = await openLive(values.model ?? "");
    const mib = live.tensors.reduce((sum, { byteLength }) => sum + byteLength, 0) / 2 ** 20;
    await measureRound(live, run); // the first one pays for memory that is new
    const rounds: Round[] = [];
    while (rounds.length < ROUNDS) rounds.push(await measureRound(live, run));
    const row = (what: string, key: keyof Round): string => {
      const each = rounds.map((round) => round[key]);
      return `| ${what} | ${median(each).toFixed(0)} (${Math.min(...each).toFixed(0)} – ${Math.max(...each).toFixed(0)}) |`;
    };
    const lines = [
      "# saving",
      "",
      `${cpus()[0]?.model.trim() ?? "unknown"}, ${cpus().length} cores, Node ${process.version}, load ${loadavg()[0]?.toFixed(1)}. A checkpoint of ${mib.toFixed(0)} MiB (rank 16 on all`,
      `linears, both embeddings as fp32 copies, AdamW's moments), ${ROUNDS} rounds after one to warm up.`,
      "",
      "| ms | median (min – max) |",
      "| --- | --- |",
      row("copying the same tensors and nothing else", "copyMs"),
      row("training stands still: encoding, checksums of the torch file, the copy", "stallMs"),
      row("hashing, writing and syncing, beside training", "writeMs"),
      row("longest that training's thread was held up meanwhile", "lateMs"),
    ];
    console.log(lines.join("\n"));
    if (values.out !== undefined) {
      await writeTextAtomic(`bench/results/${values.out}.md`, `${lines.join("\n")}\n`);
      await writeTextAtomic(`bench/results/${values.out}.json`, `${JSON.stringify({ schemaVersion: 1, mib, rounds }, null, 2)}\n`);
    }
    await live.session.model.dispose();
  } finally {
    rmSync(run, { recursive: true, force: true });
  }
}
