// The page of the proof on the real model.
import { formatBytes, formatCount } from "../../src/core/index.ts";
import type { FinishedRun } from "./finished-run.ts";

/** Everything that was measured. */
export interface Proof {
  readonly schemaVersion: 1;
  readonly date: string;
  readonly commit: string;
  readonly machine: Readonly<Record<string, string | number>>;
  readonly data: { readonly first: string; readonly second: string };
  readonly prompts: readonly string[];
  readonly before: readonly string[];
  readonly after: readonly string[];
  readonly llamaAnswers: readonly string[];
  readonly train: FinishedRun;
  readonly continued: FinishedRun;
  readonly refusal: string;
  readonly verdict: string;
  readonly merge: Readonly<Record<string, unknown>>;
  readonly peft: {
    readonly ok: boolean;
    readonly banner: string;
    readonly comparison: {
      readonly largestDifference: number;
      readonly largestLogit: number;
      readonly positions: number;
      readonly sameArgmax: number;
    };
  };
  readonly torch: {
    readonly losses: readonly number[];
    readonly seconds: readonly number[];
    readonly trainable: number;
    readonly peakRssKiB: number;
    readonly versions: Readonly<Record<string, string>>;
  };
  readonly minutes: number;
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

const loss = (value: number | null): string => (value === null ? "" : value.toFixed(4));
const cell = (text: string): string => text.replaceAll(/\s+/g, " ").replaceAll("|", "\\|").trim();
const quoted = (text: string): string => ["```text no-run", text, "```"].join("\n");

function evaluationRows(what: string, { evaluations }: FinishedRun): string[] {
  return evaluations.map(({ dataset, before, after }) => `| ${what} | ${dataset} | ${loss(before)} | ${loss(after)} |`);
}

function lossTable({ torch, train }: Proof): string {
  const ours = new Map(train.updates.map(({ step, loss: value }) => [step, value]));
  const rows = torch.losses.map((theirs, i) => {
    const own = ours.get(i + 1) ?? Number.NaN;
    return `| ${i + 1} | ${own.toFixed(6)} | ${theirs.toFixed(6)} | ${Math.abs(own - theirs).toExponential(1)} |`;
  });
  return ["| update | heirloom | PyTorch + PEFT | difference |", "|---:|---:|---:|---:|", ...rows].join("\n");
}

/** docs/gallery/real-model-training.md */
export function proofPage(proof: Proof): string {
  const { train, continued, peft, torch, machine } = proof;
  const { comparison } = peft;
  const peak = Math.max(...[...train.updates, ...continued.updates].map(({ rssBytes }) => rssBytes));
  const rate = median(train.updates.map(({ tokensPerSecond }) => tokensPerSecond));
  // The updates that PyTorch made, too.
  const seconds = median(train.updates.slice(0, torch.seconds.length).map(({ tokens, tokensPerSecond }) => tokens / tokensPerSecond));
  const answers = proof.prompts.map(
    (prompt, i) =>
      `| ${cell(prompt)} | ${cell(proof.before[i] ?? "")} | ${cell(proof.after[i] ?? "")} | ${cell(proof.llamaAnswers[i] ?? "")} |`,
  );
  return `# The main job on a real model

SmolLM2-135M-Instruct out of a GGUF file, trained on \`${proof.data.first}\`, continued on \`${proof.data.second}\`; every tenth row of each is held
out. QLoRA over NF4 with double quantization: rank 32 on all linear layers, \`embed_tokens\` and \`lm_head\` in full (the base ties
them: one shared copy) at a tenth of the rate. Written by \`tools/real-model/proof.ts\`, which stops where a claim does not hold.
Commit ${proof.commit}, ${machine["cpu"] ?? ""}, ${machine["logicalCores"] ?? ""} cores, ${proof.date}; ${proof.minutes.toFixed(1)} minutes in all, PyTorch's part included.

- **Ledger**: \`${train.banner}\`; the continuation's is the same to the digit, and PEFT counts \`${peft.banner}\`.
- **Speed**: ${rate.toFixed(0)} tokens/s (median of the updates), at most ${formatBytes(peak)} RSS after an update; ${formatCount(train.tokens)} and ${formatCount(continued.tokens)} tokens trained on.
- **Stop and resume**: Ctrl-C in the middle, \`resume\`, ${train.steps} updates.
- **PEFT**: the continued adapter's logits differ by ${comparison.largestDifference.toExponential(1)} at most over ${comparison.positions} positions (largest logit ${comparison.largestLogit.toFixed(1)}), the same best token in ${comparison.sameArgmax}.

## Losses

| run | held-out set | before | after |
|---|---|---:|---:|
${[...evaluationRows("trained", train), ...evaluationRows("continued", continued)].join("\n")}

\`parent/…\` is the first set, measured again while the second is trained on: what was forgotten.

## Answers

Greedy, 48 tokens at most, in the model's chat template. "after" is the merged model here; the last column is its GGUF (F16) in llama.cpp.

| prompt | before | after | llama.cpp |
|---|---|---|---|
${answers.join("\n")}

## The frozen load

The trained adapter with \`modules_to_save\` taken out of its configuration, as tools leave it. \`heirloom continue\`:

${quoted(proof.refusal)}

\`heirloom verify\`:

${quoted(proof.verdict)}

## The first updates in PyTorch + PEFT

From the same adapter and the same batches: bitsandbytes' NF4, PEFT ${torch.versions["peft"]}, torch ${torch.versions["torch"]}, fp32 products, block-diagonal mask. ${formatCount(torch.trainable)} trainable
parameters; median update ${median(torch.seconds).toFixed(1)} s (heirloom ${seconds.toFixed(1)} s), peak RSS ${formatBytes(torch.peakRssKiB * 1024)}.

${lossTable(proof)}
`;
}
