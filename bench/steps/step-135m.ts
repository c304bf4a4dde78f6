// Training steps beside PyTorch + PEFT: SmolLM2-135M's shape, LoRA rank 16 on all linear layers, 2 × 512 full rows.
//
//   npm run bench -- step-135m --python /tmp/venv/bin/python -- node OUR_SCRIPT --batch {batch} --seq {seq} --steps {steps}
//
// After `--` comes our command; {config}, {batch}, {seq}, {rank}, {steps}, {warmup}, {threads} are filled in. Each side's stdout
// ends with a JSON object that has `tokens_per_s` (or an object with `real_tokens`) and `peak_rss_mib`.
import { join } from "node:path";
import { parseArgs } from "node:util";
import { InternalError } from "../../src/core/index.ts";
import { writeTextAtomic } from "../../src/core/node/index.ts";
import { measureProcess } from "./measured-process.ts";
import { type BenchReport, currentCommit, machineInfo, type Round, ratiosOf, type Side, summarize, toMarkdown } from "./report.ts";

const METHOD =
  "Each figure is of a fresh process; the two sides alternate, and the order is reversed in every other round. Tokens/s are over the " +
  "measured steps (forward, backward, clipping, optimizer) after the warm-up; all tokens are real and labelled. Peak RSS is of the " +
  "whole process, the larger of its own figure and the kernel's VmHWM.";

const OPTIONS = {
  python: { type: "string", default: process.env["HEIRLOOM_PYTHON"] ?? "python3" },
  baseline: { type: "string", default: process.env["HEIRLOOM_BASELINE"] ?? "bench/baseline/torch_peft_step.py" },
  config: { type: "string", default: "bench/configs/smollm2-135m.json" },
  name: { type: "string", default: "step-135m" },
  out: { type: "string", default: "bench/results" },
  rounds: { type: "string", default: "5" },
  batch: { type: "string", default: "2" },
  seq: { type: "string", default: "512" },
  rank: { type: "string", default: "16" },
  steps: { type: "string", default: "5" },
  warmup: { type: "string", default: "1" },
  threads: { type: "string", default: "2" },
} as const;

type Flags = Readonly<Record<keyof typeof OPTIONS, string>>;

function readFlags(args: string[]): { flags: Flags; command: readonly string[] } {
  const { values, positionals } = parseArgs({ args, options: OPTIONS, allowPositionals: true });
  if (positionals.length === 0) throw new InternalError("expected our command after --, found none");
  for (const key of ["rounds", "batch", "seq", "rank", "steps", "threads"] as const) {
    if (!/^[1-9]\d*$/.test(values[key])) throw new InternalError(`--${key}: expected a whole number above 0, found ${values[key]}`);
  }
  return { flags: values, command: positionals };
}

/** @throws InternalError for a placeholder that is none of the flags */
function fillIn(command: readonly string[], flags: Flags): string[] {
  const value = (key: string): string => {
    if (!(key in flags)) throw new InternalError(`expected a placeholder out of ${Object.keys(flags).join(", ")}, found {${key}}`);
    return flags[key as keyof Flags];
  };
  return command.map((word) => word.replace(/\{(\w+)\}/g, (_, key: string) => value(key)));
}

const BASELINE_COMMAND = [
  "{python}",
  "{baseline}",
  "--config",
  "{config}",
  "--batch",
  "{batch}",
  "--seq",
  "{seq}",
  "--rank",
  "{rank}",
].concat(["--steps", "{steps}", "--warmup-steps", "{warmup}", "--threads", "{threads}"]);

async function measureRound(index: number, commands: Readonly<Record<Side, readonly string[]>>): Promise<Round> {
  const order: Side[] = index % 2 === 0 ? ["pytorch", "heirloom"] : ["heirloom", "pytorch"];
  const results: Partial<Record<Side, Awaited<ReturnType<typeof measureProcess>>>> = {};
  for (const side of order) {
    const result = await measureProcess(commands[side]);
    results[side] = result;
    const others = result.othersCores === null ? "" : `, others ${result.othersCores.toFixed(2)} cores`;
    process.stderr.write(`round ${index + 1} ${side}: ${result.tokensPerSecond.toFixed(1)} tokens/s, ${result.peakRssMib} MiB${others}\n`);
  }
  if (results.pytorch === undefined || results.heirloom === undefined) throw new InternalError("a side was not measured");
  return { order, pytorch: results.pytorch, heirloom: results.heirloom };
}

/** Measures all rounds and writes `<out>/<name>.json` and `.md`. */
export async function step135m(args: string[]): Promise<void> {
  const { flags, command } = readFlags(args);
  const commands = { pytorch: fillIn(BASELINE_COMMAND, flags), heirloom: fillIn(command, flags) };
  const rounds: Round[] = [];
  for (let index = 0; index < Number(flags.rounds); index++) rounds.push(await measureRound(index, commands));

  const { name, config, batch, seq, rank, steps, warmup, threads } = flags;
  const versionsOf = (side: Side) => rounds[0]?.[side].output["versions"] ?? {};
  // Only the last part of an absolute path: where things lie on the machine is nobody's business.
  const shown = (words: readonly string[]) => words.map((word) => (word.startsWith("/") ? word.replace(/^.*\//, "") : word)).join(" ");
  const report: BenchReport = {
    schemaVersion: 1,
    name,
    date: new Date().toISOString().slice(0, 10),
    commit: currentCommit(),
    method: METHOD,
    machine: machineInfo(),
    settings: {
      config: config.replace(/^.*\//, ""),
      batch,
      seq,
      rank,
      targets: "all-linear",
      steps,
      warmup,
      threads,
      rounds: rounds.length,
    },
    commands: { pytorch: shown(commands.pytorch), heirloom: shown(commands.heirloom) },
    pytorch: summarize(rounds.map((round) => round.pytorch)),
    heirloom: summarize(rounds.map((round) => round.heirloom)),
    ratios: ratiosOf(rounds),
    versions: { node: process.versions.node, pytorch: versionsOf("pytorch"), heirloom: versionsOf("heirloom") },
    rounds,
  };
  await writeTextAtomic(join(flags.out, `${name}.json`), `${JSON.stringify(report, null, 2)}\n`);
  await writeTextAtomic(join(flags.out, `${name}.md`), toMarkdown(report));
  process.stdout.write(toMarkdown(report));
}
