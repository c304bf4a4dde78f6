// Proves that adapters made here load in real PEFT and mean there what they mean here: trains one with the built
// program for each kind of base, and compares the logits of both sides on the same token ids.
//
//   npm run build && node --import ./tools/register-typescript.mjs tools/python/prove-peft.ts --python PYTHON
//       [--base FOLDER --data FILE.jsonl --max-length 128] [--adapter patterns|block] [--steps 20] [--name NAME]
//
// Without --base: a tiny random model; --main src/cli/main.ts does without a build. The figures go to tools/python/results/NAME.json, and the table of all results
// into docs/gallery/peft-loads-our-adapters.md.
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { currentCommit } from "../../bench/steps/report.ts";
import { InternalError, RandomStream } from "../../src/core/index.ts";
import { TinyWorkshop } from "../../src/train/fixtures/tiny-run.ts";
import { writeAdapterLogits } from "../adapter-logits.ts";

const RESULTS = "tools/python/results";
const GALLERY = "docs/gallery/peft-loads-our-adapters.md";

/** A kind of base: how run.yaml names it, and what bitsandbytes is asked for on the other side. */
interface Kind {
  readonly name: string;
  readonly quantization: unknown;
  readonly nf4: "single" | "double" | null;
}

const KINDS: readonly Kind[] = [
  { name: "NF4, double quantization", quantization: "nf4", nf4: "double" },
  { name: "NF4", quantization: { type: "nf4", doubleQuant: false }, nf4: "single" },
  { name: "unquantized", quantization: "none", nf4: null },
];

/** An adapter to be proved: its section of run.yaml, and what the results call it. */
interface ProvedAdapter {
  readonly words: string;
  readonly values: Readonly<Record<string, unknown>>;
  readonly denseOnly?: true;
}

const ADAPTERS: Readonly<Record<string, ProvedAdapter>> = {
  plain: {
    words: "rank 8, alpha 16, all-linear, embed_tokens and lm_head in full",
    values: { rank: 8, alpha: 16, targetModules: "all-linear", modulesToSave: ["embed_tokens", "lm_head"] },
  },
  patterns: {
    words: "rsLoRA, rank 8 (q_proj 12, the first layer's up_proj 3), alpha 16 (v_proj 5), all-linear, embed_tokens and lm_head in full",
    values: {
      rank: 8,
      alpha: 16,
      rankPattern: { q_proj: 12, "layers.0.mlp.up_proj": 3 },
      alphaPattern: { v_proj: 5 },
      rslora: true,
      targetModules: "all-linear",
      modulesToSave: ["embed_tokens", "lm_head"],
    },
  },
  block: {
    words: "rank 8, alpha 16, q_proj and v_proj, embed_tokens, lm_head and one MLP in full",
    values: { rank: 8, alpha: 16, targetModules: ["q_proj", "v_proj"], modulesToSave: ["embed_tokens", "lm_head", "layers.1.mlp"] },
    // PEFT cannot train a copy of a 4-bit layer.
    denseOnly: true,
  },
};

/** What check_adapter.py reports, as far as it is read here. */
interface CheckReport {
  readonly ok: boolean;
  readonly banner: string;
  readonly tensorsThatDiffer: readonly string[];
  readonly warnings: readonly string[];
  readonly comparison: {
    readonly largestDifference: number;
    readonly largestLogit: number;
    readonly tolerance: number;
    readonly positions: number;
    readonly sameArgmax: number;
  };
  readonly versions: Readonly<Record<string, string>>;
}

interface Result {
  readonly schemaVersion: 1;
  readonly name: string;
  readonly date: string;
  readonly commit: string;
  readonly model: string;
  readonly adapter: string;
  readonly steps: number;
  readonly versions: Readonly<Record<string, string>>;
  readonly cases: readonly { readonly base: string; readonly ourBanner: string; readonly check: CheckReport }[];
}

const { values: flags } = parseArgs({
  options: {
    python: { type: "string", default: "python3" },
    base: { type: "string" },
    data: { type: "string" },
    "max-length": { type: "string", default: "48" },
    steps: { type: "string", default: "20" },
    name: { type: "string", default: "tiny" },
    adapter: { type: "string", default: "plain" },
    main: { type: "string", default: "dist/cli/main.js" },
  },
});

function provedAdapter(): ProvedAdapter {
  const found = ADAPTERS[flags.adapter];
  if (found === undefined) throw new InternalError(`--adapter is one of ${Object.keys(ADAPTERS).join(", ")}`);
  return found;
}

/** Rows of different lengths, so that padding is part of what is compared. */
function randomRows(vocabSize: number): number[][] {
  const stream = new RandomStream(7, "ids of the proof");
  return [48, 31, 17].map((length) => Array.from({ length }, () => stream.nextInt(vocabSize)));
}

function trainAdapter(kind: Kind, base: string, data: string, folder: string): { adapter: string; banner: string } {
  const config = {
    base,
    output: join(folder, "runs"),
    quantization: kind.quantization,
    adapter: provedAdapter().values,
    data: { train: data, maxLength: Number(flags["max-length"]) },
    training: {
      steps: Number(flags.steps),
      batchSize: 4,
      learningRate: 2e-3,
      groups: [{ name: "copies", match: ["embed_tokens", "lm_head"], learningRateRatio: 0.1 }],
    },
  };
  const path = join(folder, "run.json");
  writeFileSync(path, JSON.stringify(config));
  const out = execFileSync(process.execPath, [...process.execArgv, flags.main, "train", "-c", path, "--json", "--quiet"], {
    encoding: "utf8",
  });
  return JSON.parse(out) as { adapter: string; banner: string };
}

async function prove(kind: Kind, base: string, data: string, folder: string): Promise<Result["cases"][number]> {
  const { adapter, banner } = trainAdapter(kind, base, data, folder);
  const { vocab_size: vocabSize } = JSON.parse(readFileSync(join(base, "config.json"), "utf8")) as { vocab_size: number };
  const rows = randomRows(vocabSize);
  const ids = join(folder, "ids.json");
  writeFileSync(ids, JSON.stringify(rows));
  const ours = join(folder, "ours.safetensors");
  await writeAdapterLogits(adapter, base, rows, ours);
  const quantized = kind.nf4 === null ? [] : ["--nf4", kind.nf4];
  const checked = spawnSync(
    flags.python,
    ["tools/python/check_adapter.py", "--base", base, "--adapter", adapter, "--ids", ids, "--ours", ours, ...quantized],
    { encoding: "utf8" },
  );
  if (checked.stdout === "") throw new InternalError(`check_adapter.py ended without a report:\n${checked.stderr}`);
  return { base: kind.name, ourBanner: banner, check: JSON.parse(checked.stdout) as CheckReport };
}

/** The table of every committed result. */
function resultTable(): string {
  const results = readdirSync(RESULTS)
    .filter((file) => file.endsWith(".json") && !/^(?:recipe-|trainer)/.test(file))
    .sort()
    .map((file) => JSON.parse(readFileSync(join(RESULTS, file), "utf8")) as Result);
  const rows = results.flatMap(({ name, model, adapter, cases }) =>
    cases.map(({ base, ourBanner, check }) => {
      const { largestDifference, largestLogit, positions, sameArgmax } = check.comparison;
      const counts = ourBanner === check.banner ? "the same" : `ours ${ourBanner}; PEFT's ${check.banner}`;
      return `| [${name}](../../${RESULTS}/${name}.json): ${model} | ${adapter} | ${base} | ${largestDifference.toExponential(1)} | ${largestLogit.toFixed(2)} | ${sameArgmax} of ${positions} | ${counts} |`;
    }),
  );
  const head = ["model", "adapter", "base", "largest difference", "largest logit", "same best token", "banner"];
  return [`| ${head.join(" | ")} |`, `|${head.map(() => "---").join("|")}|`, ...rows].join("\n");
}

const workshop = flags.base === undefined ? await TinyWorkshop.open({ deviation: 0.1 }) : null;
const folder = mkdtempSync(join(tmpdir(), "heirloom-peft-"));
try {
  const base = resolve(flags.base ?? workshop?.base ?? "");
  const data = resolve(flags.data ?? workshop?.path("train.jsonl") ?? "");
  const cases: Result["cases"][number][] = [];
  const kinds = provedAdapter().denseOnly === true ? KINDS.filter(({ nf4 }) => nf4 === null) : KINDS;
  for (const kind of kinds) cases.push(await prove(kind, base, data, folder));
  const { version } = JSON.parse(readFileSync("package.json", "utf8")) as { version: string };
  const result: Result = {
    schemaVersion: 1,
    name: flags.name,
    date: new Date().toISOString().slice(0, 10),
    commit: currentCommit(),
    model: flags.base !== undefined ? flags.base : "a tiny random Llama",
    adapter: provedAdapter().words,
    steps: Number(flags.steps),
    versions: { heirloom: version, node: process.versions.node, ...cases[0]?.check.versions },
    cases,
  };
  writeFileSync(join(RESULTS, `${flags.name}.json`), `${JSON.stringify(result, null, 2)}\n`);
  const page = readFileSync(GALLERY, "utf8");
  writeFileSync(
    GALLERY,
    page.replace(
      /(<!-- results -->\n)[\s\S]*(\n<!-- end of results -->)/,
      (_, open: string, close: string) => `${open}${resultTable()}${close}`,
    ),
  );
  for (const { base: kind, check } of cases) console.log(`${check.ok ? "ok  " : "FAIL"} ${kind}: ${check.comparison.largestDifference}`);
  if (cases.some(({ check }) => !check.ok)) process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
  workshop?.close();
}
