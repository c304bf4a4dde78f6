// How far `heirloom plan` is from the truth: its predicted peak beside that of the run itself, case by case.
//
//   npm run build && npm run bench -- plan-memory [--model FOLDER] [--main dist/cli/main.js] [--rounds 3] [--name plan-memory]
//
// --model adds cases on a larger base (SmolLM2-135M's shape, by tools/base/random-model.ts) to those of the bundled one.
import { cpSync, existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { writeTextAtomic } from "../../src/core/node/index.ts";
import { currentCommit, machineInfo, type Spread, spread } from "../steps/report.ts";
import { measurePeak } from "./measured-peak.ts";

const MIB = 2 ** 20;
const DATA = "assets/demo/definitions-train.jsonl";
/** The second update is the first with everything in place; nothing is allocated after it. */
const UPDATES = 3;

interface Case {
  readonly name: string;
  readonly settings: readonly string[];
}

const COPIES = ['adapter.modulesToSave=["embed_tokens","lm_head"]'];
const CASES: readonly Case[] = [
  { name: "dense, keep", settings: ["quantization=none", "engine.activations=keep"] },
  { name: "dense, recompute", settings: ["quantization=none", "engine.activations=recompute"] },
  { name: "NF4 cached, keep", settings: ["quantization=nf4", "engine.dequantizedCache=on", "engine.activations=keep"] },
  { name: "NF4, keep", settings: ["quantization=nf4", "engine.dequantizedCache=off", "engine.activations=keep"] },
  { name: "NF4, recompute", settings: ["quantization=nf4", "engine.dequantizedCache=off", "engine.activations=recompute"] },
  {
    name: "NF4, recompute, both copies, dropout, 2 micro-batches",
    settings: [
      "quantization=nf4",
      "engine.dequantizedCache=off",
      "engine.activations=recompute",
      "adapter.dropout=0.1",
      "training.accumulation=2",
      ...COPIES,
    ],
  },
  {
    name: "NF4, keep, both copies in bf16",
    settings: ["quantization=nf4", "engine.dequantizedCache=off", "engine.activations=keep", "adapter.fullCopyDtype=bf16", ...COPIES],
  },
  { name: "all parameters, keep", settings: ["fullParameter=true", "adapter=none", "quantization=none", "engine.activations=keep"] },
];

interface Figures {
  readonly model: string;
  readonly case: string;
  readonly predictedMib: number;
  readonly measuredMib: Spread;
  /** Predicted / measured median. */
  readonly ratio: number;
  readonly parts: Readonly<Record<string, number>>;
}

interface Shape {
  readonly name: string;
  readonly base: string;
  readonly batch: number;
  readonly length: number;
}

/** The model's files, with the bundled tokenizer where it has none: random weights read any ids. */
function withTokenizer(model: string, folder: string): string {
  if (existsSync(join(model, "tokenizer.json"))) return resolve(model);
  for (const file of readdirSync(model)) cpSync(join(model, file), join(folder, file));
  for (const file of ["tokenizer.json", "tokenizer_config.json"]) cpSync(join("assets/base", file), join(folder, file));
  return folder;
}

const mib = (bytes: number): number => Number((bytes / MIB).toFixed(1));

async function measureCase(main: string, { name, base, batch, length }: Shape, given: Case, rounds: number): Promise<Figures> {
  const folder = mkdtempSync(join(tmpdir(), "heirloom-plan-"));
  const settings = [
    `data.train=${resolve(DATA)}`,
    `data.maxLength=${length}`,
    `training.batchSize=${batch}`,
    `training.steps=${UPDATES}`,
    ...given.settings,
  ].flatMap((setting) => ["--set", setting]);
  const request = ["--base", base, "-o", join(folder, "runs"), "--json", ...settings];
  try {
    const planned = await measurePeak([main, "plan", "--no-calibrate", ...request]);
    const { memory } = JSON.parse(planned.output) as { memory: { totalBytes: number; parts: { part: string; bytes: number }[] } };
    const peaks: number[] = [];
    for (let round = 0; round < rounds; round++) peaks.push(mib((await measurePeak([main, "train", "--quiet", ...request])).bytes));
    const measuredMib = spread(peaks);
    const predictedMib = mib(memory.totalBytes);
    return {
      model: name,
      case: given.name,
      predictedMib,
      measuredMib,
      ratio: Number((predictedMib / measuredMib.median).toFixed(3)),
      parts: Object.fromEntries(memory.parts.map(({ part, bytes }) => [part, mib(bytes)])),
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The resident set of a process before any weight, by bench/memory/process-before-weights.mjs. */
async function processPeaks(program: string, rounds: number): Promise<number[]> {
  const held: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const { output } = await measurePeak(["bench/memory/process-before-weights.mjs", program]);
    held.push(mib((JSON.parse(output) as { bytes: number }).bytes));
  }
  return held;
}

function markdown(
  report: { readonly method: string; readonly date: string; readonly commit: string },
  figures: readonly Figures[],
): string {
  const rows = figures.map(
    ({ model, case: name, predictedMib, measuredMib: { median, min, max }, ratio }) =>
      `| ${model} | ${name} | ${predictedMib.toFixed(0)} | ${median.toFixed(0)} (${min.toFixed(0)} – ${max.toFixed(0)}) | ${ratio.toFixed(2)} |`,
  );
  const head = ["base", "run", "predicted, MiB", "measured, MiB (min – max)", "predicted / measured"];
  const table = [`| ${head.join(" | ")} |`, `|${head.map(() => "---").join("|")}|`, ...rows].join("\n");
  return `# Peak memory: plan against the run\n\n${report.method}\n\n${report.date}, commit ${report.commit}.\n\n${table}\n`;
}

/** The benchmark as `npm run bench -- plan-memory` runs it. */
export async function planMemoryBench(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      model: { type: "string" },
      main: { type: "string", default: "dist/cli/main.js" },
      rounds: { type: "string", default: "3" },
      name: { type: "string" },
    },
  });
  const copied = mkdtempSync(join(tmpdir(), "heirloom-plan-base-"));
  process.once("exit", () => rmSync(copied, { recursive: true, force: true }));
  const shapes: Shape[] = [{ name: "bundled base, 4 × 512", base: resolve("assets/base"), batch: 4, length: 512 }];
  if (values.model !== undefined) shapes.push({ name: "135M, 2 × 512", base: withTokenizer(values.model, copied), batch: 2, length: 512 });
  const main = resolve(values.main);
  const rounds = Number(values.rounds);
  const processMib = spread(await processPeaks(dirname(dirname(main)), rounds));
  console.log(`process before any weight: ${processMib.median} MiB`);
  const figures: Figures[] = [];
  for (const shape of shapes) {
    for (const given of CASES) {
      const one = await measureCase(main, shape, given, rounds);
      console.log(`${one.model}: ${one.case}: predicted ${one.predictedMib}, measured ${one.measuredMib.median}: ${one.ratio}`);
      figures.push(one);
    }
  }
  if (values.name === undefined) return;
  const report = {
    schemaVersion: 1,
    name: values.name,
    date: new Date().toISOString().slice(0, 10),
    commit: currentCommit(),
    method: `Each peak is the kernel's VmHWM of a fresh \`heirloom train\` of ${UPDATES} updates, its adapter and checkpoint written; median of ${values.rounds} runs. The prediction is of \`heirloom plan\` for the same settings, from configurations alone.`,
    machine: machineInfo(),
    processBeforeWeightsMib: processMib,
    results: figures,
  };
  await writeTextAtomic(`bench/results/${values.name}.json`, `${JSON.stringify(report, null, 2)}\n`);
  await writeTextAtomic(`bench/results/${values.name}.md`, markdown(report, figures));
}
