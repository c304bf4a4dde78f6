// Proves that the real Trainer and TRL's SFTTrainer resume a run folder of ours: the losses of the updates after the
// checkpoint are those of our own uninterrupted run, and they are not without the optimizer's moments. And back: the
// Trainer's own checkpoint of that run is gone on with here.
//
//   node --import ./tools/register-typescript.mjs tools/python/prove-trainer.ts --python PYTHON [--case NAME]
//
// The figures go to tools/python/results/trainer.json, the table of them into docs/gallery/trainer-both-ways.md.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { currentCommit } from "../../bench/steps/report.ts";
import { parseChanges } from "../../src/config/index.ts";
import { InternalError } from "../../src/core/index.ts";
import { losses, TinyWorkshop, tinyRows } from "../../src/train/fixtures/tiny-run.ts";
import { resumeTrainer } from "../../src/train/index.ts";
import { SCENE, writeRows, writeScene } from "./trainer-scene.ts";

const RESULTS = "tools/python/results/trainer.json";
const GALLERY = "docs/gallery/trainer-both-ways.md";
/** What vectors/ allow between fp32 implementations for the losses of a training run. */
const TOLERANCE = 2e-5;
/** Updates of the whole run, of the checkpoint, and of the Trainer's checkpoint on the way back. */
const STEPS = 20;
const STOP = 6;
const BACK = 12;

interface Case {
  readonly words: string;
  readonly trainer: "trainer" | "sft";
  readonly nf4: "double" | null;
  readonly groups: boolean;
  readonly schedule: "linear" | "cosine" | "constant";
}

const CASES: Readonly<Record<string, Case>> = {
  plain: { words: "Trainer, its own groups (decay, no decay)", trainer: "trainer", nf4: null, groups: false, schedule: "linear" },
  groups: { words: "Trainer, embeddings at a tenth", trainer: "trainer", nf4: null, groups: true, schedule: "cosine" },
  sft: { words: "TRL's SFTTrainer, embeddings at a tenth", trainer: "sft", nf4: null, groups: true, schedule: "linear" },
  nf4: {
    words: "Trainer over NF4 (bitsandbytes), embeddings at a tenth",
    trainer: "trainer",
    nf4: "double",
    groups: true,
    schedule: "linear",
  },
};

interface Losses {
  readonly steps: readonly number[];
  readonly losses: readonly number[];
  readonly norms: readonly number[];
  readonly rates: readonly number[];
  readonly began: { readonly tensors: number; readonly largestMoment: number; readonly rates: readonly number[] };
  readonly trained: number;
}

interface Report {
  readonly resumed: Losses;
  readonly zeroed: Losses;
  readonly final: { readonly lora: number; readonly fullCopies: number };
  readonly back?: { readonly run: string };
  readonly versions: Readonly<Record<string, string>>;
}

/** Our uninterrupted run, update by update. */
interface Ours {
  readonly whole: readonly number[];
  readonly norms: readonly number[];
}

interface Proved {
  readonly case: string;
  readonly words: string;
  readonly ours: readonly number[];
  readonly theirs: readonly number[];
  /** Largest difference of a loss, and of a gradient norm as its share. */
  readonly lossDifference: number;
  readonly normDifference: number;
  readonly final: Report["final"];
  /** Largest difference of a loss when the moments were zero. */
  readonly withoutMoments: number;
  readonly stateTensors: number;
  readonly trainedTensors: number;
  /** Largest difference of a loss from our uninterrupted run, gone on with from the Trainer's checkpoint. */
  readonly backDifference: number;
  readonly versions: Report["versions"];
  readonly ok: boolean;
}

const { values: flags } = parseArgs({ options: { python: { type: "string", default: "python3" }, case: { type: "string" } } });

const largest = (a: readonly number[], b: readonly number[]): number => {
  if (a.length !== b.length || a.length === 0) return Number.POSITIVE_INFINITY;
  return a.reduce((most, value, i) => Math.max(most, Math.abs(value - (b[i] ?? Number.NaN))), 0);
};

function ask(folder: string): Report {
  const done = spawnSync(flags.python, ["tools/python/prove_trainer.py", folder], { encoding: "utf8", maxBuffer: 2 ** 26 });
  if (done.status !== 0) throw new InternalError(`prove_trainer.py ended with ${done.status}:\n${done.stderr}`);
  return JSON.parse(done.stdout.trim().split("\n").at(-1) ?? "") as Report;
}

/** Configuration of the run, as the workshop has it. */
function runValues({ nf4, groups, schedule }: Case): Record<string, unknown> {
  const copies = [{ name: "embeddings", match: ["embed_tokens", "lm_head"], learningRateRatio: 0.1 }];
  return {
    quantization: nf4 === null ? "none" : "nf4",
    data: { packing: false },
    training: {
      ...{ steps: STEPS, batchSize: 2, accumulation: 2, learningRate: 1e-2, weightDecay: 0.01, seed: 7, schedule, warmupSteps: 3 },
      groups: groups ? copies : [],
    },
    checkpoints: { everySteps: STOP },
  };
}

/** Goes on with the Trainer's checkpoint here. */
async function goBack(workshop: TinyWorkshop, values: object, checkpoint: string): Promise<number[]> {
  const { data } = workshop.defaults() as { data: object };
  const { quantization } = values as { quantization: string };
  const text = JSON.stringify({ base: workshop.base, output: workshop.output, quantization, data, engine: { threads: 1 } });
  const seen: number[] = [];
  await resumeTrainer(
    { checkpoint, sources: { file: { path: workshop.path("back.json"), text } }, changes: parseChanges([]) },
    { inline: true, onEvent: (event) => void (event.type === "step" && seen.push(event.loss)) },
  );
  return seen;
}

async function prove(name: string, scenario: Case): Promise<Proved> {
  const workshop = await TinyWorkshop.open({ deviation: 0.1 });
  const folder = mkdtempSync(join(tmpdir(), "heirloom-trainer-"));
  try {
    // 16 rows are 8 micro-batches, so that no epoch ends within an update.
    workshop.write("train.jsonl", tinyRows(16));
    const values = runValues(scenario);
    const { config } = workshop.configure(values);
    const told = await workshop.train(values);
    const { training } = config;
    await writeRows(config, STEPS * training.accumulation, join(folder, SCENE.rows));
    const record = JSON.parse(readFileSync(join(told.result.adapter ?? "", "heirloom.json"), "utf8")) as {
      trainable: { name: string; group: string | null }[];
    };
    const rates = [
      { name: "default", rate: training.learningRate, decay: training.weightDecay },
      { name: "embeddings", rate: training.learningRate / 10, decay: training.weightDecay },
    ];
    writeScene(folder, {
      ...{ base: config.base, run: told.result.run, adapter: told.result.adapter, step: STOP, steps: STEPS, back: BACK },
      ...{ batchSize: training.batchSize, accumulation: training.accumulation, schedule: training.schedule, seed: training.seed },
      ...{
        rate: training.learningRate,
        decay: training.weightDecay,
        clip: training.maxGradNorm ?? 0,
        warmupSteps: training.warmupSteps ?? 0,
      },
      ...{ nf4: scenario.nf4, trainer: scenario.trainer, groups: scenario.groups ? rates : null },
      groupOf: Object.fromEntries(record.trainable.map((entry) => [entry.name, entry.group ?? "default"])),
    });
    const report = ask(folder);
    const back = await goBack(workshop, values, join(report.back?.run ?? "", `checkpoint-${BACK}`));
    const norms = told.events.flatMap((event) => (event.type === "step" ? [event.gradNorm] : []));
    return judge(name, scenario, { whole: losses(told.events), norms }, report, back);
  } finally {
    rmSync(folder, { recursive: true, force: true });
    workshop.close();
  }
}

function judge(name: string, { words }: Case, { whole, norms }: Ours, report: Report, back: readonly number[]): Proved {
  const ours = whole.slice(STOP);
  const { resumed, zeroed, final, versions } = report;
  const facts = {
    lossDifference: largest(ours, resumed.losses),
    normDifference: largest(
      resumed.norms.map(() => 0),
      resumed.norms.map((norm, i) => norm / (norms[STOP + i] ?? 0) - 1),
    ),
    withoutMoments: largest(ours, zeroed.losses),
    backDifference: largest(whole.slice(BACK), back),
  };
  const loaded = resumed.began.tensors === resumed.trained;
  const ok = loaded && facts.lossDifference <= TOLERANCE && facts.backDifference <= TOLERANCE && facts.withoutMoments > 100 * TOLERANCE;
  return {
    ...{ case: name, words, ours, theirs: resumed.losses, ...facts, final },
    ...{ stateTensors: resumed.began.tensors, trainedTensors: resumed.trained, versions, ok },
  };
}

function table(proved: readonly Proved[]): string {
  const head = ["resumed by", "largest difference of a loss", "LoRA matrices", "full copies", "moments set to zero", "and back"];
  const figure = (value: number): string => value.toExponential(1);
  const rows = proved.map(
    ({ words, lossDifference, final, withoutMoments, backDifference }) =>
      `| ${[words, figure(lossDifference), figure(final.lora), figure(final.fullCopies), figure(withoutMoments), figure(backDifference)].join(" | ")} |`,
  );
  return [`| ${head.join(" | ")} |`, `|${head.map(() => "---").join("|")}|`, ...rows].join("\n");
}

const chosen = Object.entries(CASES).filter(([name]) => flags.case === undefined || flags.case === name);
const proved: Proved[] = [];
for (const [name, scenario] of chosen) {
  const result = await prove(name, scenario);
  proved.push(result);
  const { lossDifference, withoutMoments, backDifference, stateTensors, trainedTensors } = result;
  const facts = `losses ${lossDifference.toExponential(1)}, without moments ${withoutMoments.toExponential(1)}, back ${backDifference.toExponential(1)}`;
  console.log(`${result.ok ? "ok  " : "FAIL"} ${name}: ${facts}; state of ${stateTensors} of ${trainedTensors} tensors`);
}
if (flags.case === undefined) {
  const { version } = JSON.parse(readFileSync("package.json", "utf8")) as { version: string };
  const facts = { schemaVersion: 1, date: new Date().toISOString().slice(0, 10), commit: currentCommit(), tolerance: TOLERANCE };
  const versions = { heirloom: version, node: process.versions.node };
  writeFileSync(RESULTS, `${JSON.stringify({ ...facts, steps: STEPS, checkpoint: STOP, back: BACK, versions, cases: proved }, null, 2)}\n`);
  const page = readFileSync(GALLERY, "utf8");
  const filled = (_: string, open: string, close: string): string => `${open}${table(proved)}${close}`;
  writeFileSync(GALLERY, page.replace(/(<!-- results -->\n)[\s\S]*(\n<!-- end of results -->)/, filled));
}
if (proved.some(({ ok }) => !ok)) process.exitCode = 1;
