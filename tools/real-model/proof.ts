// The main job on the real model, from a chat before to a chat after, with every claim checked on the way; writes
// docs/gallery/real-model-training.md and results/training.json.
//
//   npm run build && node --import ./tools/register-typescript.mjs tools/real-model/proof.ts --python venv/bin/python
//       --data FIRST.json --second SECOND.json [--steps 60] [--more-steps 30] [--updates 20] [--work FOLDER]
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { currentCommit, machineInfo } from "../../bench/steps/report.ts";
import { InternalError } from "../../src/core/index.ts";
import { loadTokenizer } from "../../src/data/index.ts";
import { writeAdapterLogits } from "../adapter-logits.ts";
import { realModel } from "./cache.ts";
import { finishedRun, hasFinished, onlyRun } from "./finished-run.ts";
import { writeFirstUpdates } from "./first-updates.ts";
import { llamaAnswers } from "./llama-answers.ts";
import { run, runJson } from "./program.ts";
import { type Proof, proofPage } from "./proof-page.ts";
import { PASSAGES } from "./texts.ts";

const { values: flags } = parseArgs({
  options: {
    python: { type: "string", default: "python3" },
    data: { type: "string" },
    second: { type: "string" },
    steps: { type: "string", default: "60" },
    "more-steps": { type: "string", default: "30" },
    updates: { type: "string", default: "20" },
    work: { type: "string" },
  },
});
const PAGE = new URL("../../docs/gallery/real-model-training.md", import.meta.url);
const RESULTS = new URL("./results/training.json", import.meta.url);
const PROMPTS = ["Give three tips for staying healthy.", "Who are you?", "What is the capital of France?"];
/** Every tenth row is held out. */
const HELD_OUT = 10;

interface GenerateJson {
  readonly completions: readonly { readonly text: string }[];
}

function required(path: string | undefined, flag: string): string {
  if (path === undefined) throw new InternalError(`--${flag} FILE is needed: a file of instructions with answers`);
  return resolve(path);
}

/** Splits a JSON file of rows: every tenth is held out. */
function split(file: string, name: string, folder: string): { train: string; held: string } {
  const rows = JSON.parse(readFileSync(file, "utf8")) as unknown[];
  const write = (part: string, kept: readonly unknown[]): string => {
    const path = join(folder, `${name}-${part}.json`);
    writeFileSync(path, JSON.stringify(kept));
    return path;
  };
  return {
    train: write(
      "train",
      rows.filter((_, i) => i % HELD_OUT !== 0),
    ),
    held: write(
      "held-out",
      rows.filter((_, i) => i % HELD_OUT === 0),
    ),
  };
}

function check(holds: boolean, claim: string): void {
  if (!holds) throw new InternalError(`does not hold: ${claim}`);
  process.stderr.write(`holds: ${claim}\n`);
}

async function chat(path: string, ...more: readonly string[]): Promise<string[]> {
  const prompts = PROMPTS.flatMap((prompt) => ["--prompt", prompt]);
  const { json } = await runJson<GenerateJson>(["generate", path, ...more, "--chat", ...prompts, "--max-tokens", "48"]);
  return json.completions.map(({ text }) => text);
}

/** Steps that the events of the newest run under `folder` tell of. */
function stepsMade(folder: string): number {
  const found = onlyRun(folder);
  const events = found === undefined ? "" : join(found, "events.jsonl");
  if (events === "" || !existsSync(events)) return 0;
  return readFileSync(events, "utf8").split('"type":"step"').length - 1;
}

const model = realModel();
if (model === null) throw new InternalError("the proof needs the real model: npm run real-model");
const work = resolve(flags.work ?? mkdtempSync(join(tmpdir(), "heirloom-proof-")));
mkdirSync(work, { recursive: true });
const started = performance.now();
const [first, second] = [required(flags.data, "data"), required(flags.second, "second")];
const [old, fresh] = [split(first, "first", work), split(second, "second", work)];
const steps = Number(flags.steps);

const config = (data: { train: string; held: string }, updates: number, folder: string): Record<string, unknown> => ({
  output: join(work, folder),
  data: { train: data.train, eval: { [basename(data.held, "-held-out.json")]: data.held }, maxLength: 512, onTooLong: "truncate" },
  training: {
    steps: updates,
    batchSize: 2,
    learningRate: 2e-4,
    groups: [{ name: "embeddings", match: ["embed_tokens", "lm_head"], learningRateRatio: 0.1 }],
  },
  checkpoints: { everySteps: 20, keepLast: 2 },
});
const runFile = join(work, "run.yaml");
const adapter = { rank: 32, alpha: 64, targetModules: "all-linear", modulesToSave: ["embed_tokens", "lm_head"], ensureWeightTying: true };
writeFileSync(runFile, JSON.stringify({ base: model.folder, quantization: "nf4", adapter, ...config(old, steps, "runs") }));
const moreFile = join(work, "more.yaml");
writeFileSync(moreFile, JSON.stringify(config(fresh, Number(flags["more-steps"]), "continued")));

const before = await chat(model.folder);
const [runs, continuedRuns] = [join(work, "runs"), join(work, "continued")];
// With --work, what an earlier try trained to its end is not trained again.
if (!(await hasFinished(runs))) {
  const stopAt = Math.floor(steps / 2) + 3;
  const stopped = await run(["train", "-c", runFile, "--json", "--quiet"], { stopWhen: () => stepsMade(runs) >= stopAt });
  check(stopped.exit === 130, `Ctrl-C after about update ${stopAt} ends with 130`);
  await runJson(["resume", onlyRun(runs) ?? runs]);
}
const trained = await finishedRun(runs);
check(trained.steps === steps, `the resumed run makes ${steps} updates`);
if (!(await hasFinished(continuedRuns))) await runJson(["continue", trained.run, "-c", moreFile]);
const continued = await finishedRun(continuedRuns);
check(continued.banner === trained.banner, `the continuation's ledger is its parent's to the digit: ${trained.banner}`);

// The file as other tools leave it: the copies are in it, and its configuration no longer says so.
const frozen = join(work, "frozen");
rmSync(frozen, { recursive: true, force: true });
cpSync(trained.adapter, frozen, { recursive: true });
const configPath = join(frozen, "adapter_config.json");
writeFileSync(configPath, JSON.stringify({ ...(JSON.parse(readFileSync(configPath, "utf8")) as object), modules_to_save: null }));
const refused = await run(["continue", frozen, "-c", moreFile, "--base", model.folder]);
check(refused.exit === 12 || refused.exit === 11, "an adapter whose copies would freeze is refused");
const verified = await run(["verify", frozen, "--base", model.folder, "--strict"]);
check(verified.exit === 20, "verify finds the same");

const merged = join(work, "merged");
rmSync(merged, { recursive: true, force: true });
const merge = await runJson<Record<string, unknown>>(["merge", continued.run, "-o", merged]);
const after = await chat(merged);
const gguf = join(work, "merged.gguf");
rmSync(gguf, { force: true });
await runJson(["export", merged, "--to", "gguf", "-o", gguf, "--type", "f16"]);
const template = await loadTokenizer(merged);
const answered = await llamaAnswers(gguf, template, PROMPTS, 48);

const ids = PASSAGES.map((text) => template.encode(text).slice(0, 96));
const idsPath = join(work, "ids.json");
writeFileSync(idsPath, JSON.stringify(ids));
const ours = join(work, "ours.safetensors");
await writeAdapterLogits(continued.adapter, model.folder, ids, ours);
const peft = await run(
  [
    "tools/python/check_adapter.py",
    "--base",
    model.folder,
    "--adapter",
    continued.adapter,
    "--ids",
    idsPath,
    "--ours",
    ours,
    "--nf4",
    "double",
  ],
  { command: flags.python },
);
if (peft.stdout === "") throw new InternalError(peft.stderr);

const start = await writeFirstUpdates({ path: runFile, text: readFileSync(runFile, "utf8") }, Number(flags.updates), join(work, "start"));
const { training } = start.config;
const settings = join(work, "settings.json");
const { learningRate, betas, epsilon, maxGradNorm } = training;
writeFileSync(
  settings,
  JSON.stringify({
    threads: 2,
    updates: Number(flags.updates),
    steps,
    learningRate,
    copiesRatio: 0.1,
    betas,
    epsilon,
    maxGradNorm,
    warmupSteps: training.warmupSteps ?? 0,
  }),
);
const torch = JSON.parse(
  execFileSync(
    flags.python,
    [
      "tools/real-model/first_updates_torch.py",
      "--base",
      model.folder,
      "--adapter",
      start.adapter,
      "--batches",
      start.batches,
      "--settings",
      settings,
    ],
    { encoding: "utf8", stdio: ["ignore", "pipe", 2] },
  )
    .trim()
    .split("\n")
    .at(-1) ?? "{}",
) as Proof["torch"];
const proof: Proof = {
  schemaVersion: 1,
  date: new Date().toISOString().slice(0, 10),
  commit: currentCommit(),
  machine: machineInfo(),
  data: { first: basename(first), second: basename(second) },
  prompts: PROMPTS,
  before,
  after,
  llamaAnswers: answered,
  train: trained,
  continued,
  refusal: refused.stderr.trim(),
  verdict: verified.stdout.trim(),
  merge: merge.json,
  peft: JSON.parse(peft.stdout) as Proof["peft"],
  torch,
  minutes: (performance.now() - started) / 60_000,
};
mkdirSync(new URL("./results/", import.meta.url), { recursive: true });
// No path of this machine is anybody else's business.
const written = JSON.stringify(proof, null, 2).replaceAll(work, "WORK").replaceAll(model.folder, "BASE");
writeFileSync(RESULTS, `${written}\n`);
const page = proofPage(JSON.parse(written) as Proof);
writeFileSync(PAGE, page);
process.stdout.write(page);
