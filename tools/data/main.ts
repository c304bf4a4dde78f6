// Ids and labels of ours beside those of TRL's SFTTrainer, row by row.
//
//   node --import ./tools/register-typescript.mjs tools/data/main.ts --data FOLDER --python PATH [--limit 40] [--json FILE]
import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { InternalError } from "../../src/core/index.ts";
import { type DatasetOptions, loadDataset, loadTokenizer, NO_LABEL } from "../../src/data/index.ts";

interface Comparison {
  readonly name: string;
  readonly file: string;
  /** How the script beside this one makes TRL's rows of the file's. */
  readonly kind: string;
  readonly assistantOnly: boolean;
  readonly completionOnly: boolean;
  readonly ours: Pick<DatasetOptions, "columns" | "trainOn">;
}

const PAIR = { prompt: "question", completion: "answer" };
const COMPARISONS: readonly Comparison[] = [
  {
    name: "prompt/completion, completion_only_loss",
    file: "gsm8k-test.jsonl",
    kind: "pairs",
    assistantOnly: false,
    completionOnly: true,
    ours: { columns: PAIR },
  },
  {
    name: "prompt/completion, loss on all",
    file: "gsm8k-test.jsonl",
    kind: "pairs",
    assistantOnly: false,
    completionOnly: false,
    ours: { columns: PAIR, trainOn: "all" },
  },
  {
    name: "prompt and completion as messages, completion_only_loss",
    file: "gsm8k-test.jsonl",
    kind: "prompt-messages",
    assistantOnly: false,
    completionOnly: true,
    ours: {},
  },
  {
    name: "Alpaca, assistant_only_loss",
    file: "alpaca_en_demo.json",
    kind: "alpaca",
    assistantOnly: true,
    completionOnly: false,
    ours: {},
  },
  {
    name: "Alpaca, loss on all",
    file: "alpaca_en_demo.json",
    kind: "alpaca",
    assistantOnly: false,
    completionOnly: false,
    ours: { trainOn: "all" },
  },
  {
    name: "messages with typed parts, assistant_only_loss",
    file: "v1_sft_demo.jsonl",
    kind: "parts",
    assistantOnly: true,
    completionOnly: false,
    ours: {},
  },
  {
    name: "ShareGPT with tools, assistant_only_loss",
    file: "glaive_toolcall_en_demo.json",
    kind: "sharegpt",
    assistantOnly: true,
    completionOnly: false,
    ours: {},
  },
];

/** ChatML with tools and generation marks. */
const TEMPLATE = `{%- if tools %}{{- '<|im_start|>system\\n# Tools' }}{%- for t in tools %}{{- '\\n' + (t | tojson) }}{%- endfor %}{{- '<|im_end|>\\n' }}{%- endif %}
{%- for m in messages %}{{- '<|im_start|>' + m.role + '\\n' }}
{%- if m.role == 'assistant' %}{% generation %}{{- m.content }}{%- if m.tool_calls %}{%- for c in m.tool_calls %}{{- '<tool_call>' + (c.function | tojson) + '</tool_call>' }}{%- endfor %}{%- endif %}{{- '<|im_end|>' }}{% endgeneration %}
{%- else %}{{- m.content + '<|im_end|>' }}{%- endif %}{{- '\\n' }}{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}`;

interface Encoded {
  readonly ids: readonly number[];
  readonly labels: readonly number[];
}

/** How a row of ours differs. */
interface Outcome {
  rows: number;
  sameIds: number;
  same: number;
  /** Label positions that only one side trains, over all rows. */
  onlyOurs: number;
  onlyTheirs: number;
  /** The first tokens that only they train, as text. */
  examples: string[];
}

function compare(ours: readonly Encoded[], theirs: readonly Encoded[], decode: (ids: number[]) => string): Outcome {
  const outcome: Outcome = { rows: theirs.length, sameIds: 0, same: 0, onlyOurs: 0, onlyTheirs: 0, examples: [] };
  for (const [i, their] of theirs.entries()) {
    const our = ours[i];
    if (our === undefined || our.ids.join() !== their.ids.join()) continue;
    outcome.sameIds++;
    // The first token's label does not count: nothing predicts it.
    const differing = their.labels.flatMap((label, at) => (at > 0 && label !== our.labels[at] ? [at] : []));
    if (differing.length === 0) outcome.same++;
    for (const at of differing) {
      if (their.labels[at] === NO_LABEL) outcome.onlyOurs++;
      else outcome.onlyTheirs++;
      if (outcome.examples.length < 3) outcome.examples.push(decode(their.ids.slice(Math.max(0, at - 1), at + 1)));
    }
  }
  return outcome;
}

/** Every column of a folder's files that is compared, with TRL's side computed in one process. */
function runTrl(python: string, folder: string, specs: readonly object[]): Map<string, Encoded[]> {
  const [input, output] = [join(folder, "sets.json"), join(folder, "out.jsonl")];
  writeFileSync(input, JSON.stringify(specs));
  const script = join(dirname(fileURLToPath(import.meta.url)), "trl_equality.py");
  const { status, stderr } = spawnSync(python, [script, input, output], { encoding: "utf8", maxBuffer: 2 ** 28 });
  if (status !== 0) throw new InternalError(`TRL's side failed: ${stderr.slice(-2000)}`);
  const sets = new Map<string, Encoded[]>();
  for (const line of readFileSync(output, "utf8")
    .split("\n")
    .filter((text) => text !== "")) {
    const { set, ...encoded } = JSON.parse(line) as Encoded & { readonly set: string };
    sets.set(set, [...(sets.get(set) ?? []), encoded]);
  }
  return sets;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      data: { type: "string" },
      python: { type: "string", default: "python3" },
      limit: { type: "string", default: "40" },
      json: { type: "string" },
    },
  });
  const data = values.data ?? "";
  const limit = Number(values.limit);
  const folder = mkdtempSync(join(tmpdir(), "trl-equality-"));
  const tokenizerFolder = join(folder, "tokenizer");
  mkdirSync(tokenizerFolder);
  copyFileSync("vectors/tokenizers/llama3.tokenizer.json", join(tokenizerFolder, "tokenizer.json"));
  writeFileSync(
    join(tokenizerFolder, "tokenizer_config.json"),
    JSON.stringify({ bos_token: "<s>", eos_token: "</s>", tokenizer_class: "PreTrainedTokenizerFast" }),
  );
  const template = join(folder, "template.jinja");
  writeFileSync(template, TEMPLATE);
  const present = COMPARISONS.filter(({ file }) => existsSync(join(data, file)));
  const specs = present.map(({ name, file, kind, assistantOnly, completionOnly }) => ({
    ...{ name, kind, assistantOnly, completionOnly, limit, template },
    ...{ path: join(data, file), tokenizer: tokenizerFolder, model: resolve("vectors/llama-tiny/base") },
  }));
  try {
    const theirs = runTrl(values.python, folder, specs);
    const tokenizer = await loadTokenizer(tokenizerFolder);
    const outcomes: Record<string, Outcome> = {};
    for (const { name, file, ours: options } of present) {
      const { examples } = await loadDataset({ files: [join(data, file)], maxLength: 100_000, template, ...options }, tokenizer);
      const ours = examples.slice(0, limit).map(({ inputIds, labels }) => ({ ids: Array.from(inputIds), labels: Array.from(labels) }));
      outcomes[name] = compare(ours, theirs.get(name) ?? [], (ids) => tokenizer.decode(ids));
    }
    for (const [name, outcome] of Object.entries(outcomes)) console.log(`${name}: ${JSON.stringify(outcome)}`);
    if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify({ limit, outcomes }, null, 2)}\n`);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

await main();
