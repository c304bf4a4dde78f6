// diff on files in the page cache: two equal ones beside `cmp`, and two in which every bf16 value differs. Rates are of one
// file's bytes per second (both are read); median and range of the rounds, each of which runs all three in turn.
//
//   npm run bench -- diff [--mib 512] [--rounds 5] [--out bench/results/diff]     writes OUT.json and OUT.md
import { execFileSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { diffPaths } from "../../src/audit/index.ts";
import { InternalError } from "../../src/core/index.ts";
import { writeFileAtomic, writeTextAtomic } from "../../src/core/node/index.ts";
import { encodeSafetensors, type TensorToWrite } from "../../src/formats/index.ts";
import { currentCommit, machineInfo, type Spread, spread, writeKernelReport } from "../steps/report.ts";

/** One matrix of Llama-3.1-8B's attention, 32 MiB in bf16. */
const SHAPE = [4096, 4096] as const;
const ELEMENTS = SHAPE[0] * SHAPE[1];
const MIB_PER_TENSOR = (2 * ELEMENTS) / 1_048_576;

/** A matrix of values of both signs below one half; those of another seed differ in every place. */
function matrix(seed: number): Uint8Array {
  const units = new Uint16Array(ELEMENTS);
  let state = 12_345;
  for (let i = 0; i < ELEMENTS; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    units[i] = (0x3c00 + ((state >>> 9) & 0x1fe) + seed) | (state & 0x8000);
  }
  return new Uint8Array(units.buffer);
}

async function writeModel(path: string, seed: number, count: number): Promise<void> {
  const bytes = matrix(seed);
  const tensors: TensorToWrite[] = Array.from({ length: count }, (_, layer) => ({
    name: `model.layers.${layer}.self_attn.q_proj.weight`,
    dtype: "BF16",
    shape: SHAPE,
    chunks: () => [bytes],
  }));
  await writeFileAtomic(path, encodeSafetensors(tensors, { format: "pt" }));
}

async function rateOf(bytes: number, work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return bytes / 1000 / (performance.now() - start);
}

interface Rates {
  readonly cmp: Spread;
  readonly equal: Spread;
  readonly different: Spread;
}

async function measure(folder: string, count: number, rounds: number): Promise<Rates> {
  const [a, equal, different] = ["a", "equal", "different"].map((name) => join(folder, `${name}.safetensors`)) as [string, string, string];
  await writeModel(a, 0, count);
  await writeModel(equal, 0, count);
  await writeModel(different, 1, count);
  const bytes = count * 2 * ELEMENTS;
  const rates = { cmp: [] as number[], equal: [] as number[], different: [] as number[] };
  // The first round warms the caches and the compiler.
  for (let round = 0; round <= rounds; round++) {
    const cmp = await rateOf(bytes, () => Promise.resolve(execFileSync("cmp", [a, equal])));
    const same = await rateOf(bytes, async () => {
      if (!(await diffPaths(a, equal)).identical) throw new InternalError("the equal files were said to differ");
    });
    const other = await rateOf(bytes, async () => {
      if ((await diffPaths(a, different)).changed.some(({ changedShare }) => changedShare !== 1))
        throw new InternalError("values that differ were said to be the same");
    });
    if (round === 0) continue;
    rates.cmp.push(cmp);
    rates.equal.push(same);
    rates.different.push(other);
  }
  return { cmp: spread(rates.cmp), equal: spread(rates.equal), different: spread(rates.different) };
}

const ratio = (a: number, b: number): number => Number((a / b).toFixed(3));

/** Processes that ran or waited in the last minute. */
const load = (): number => Number((loadavg()[0] as number).toFixed(1));

function toMarkdown(rates: Rates, mib: number, loads: readonly [before: number, after: number]): string {
  const { cpu, logicalCores, memoryGib, platform } = machineInfo();
  const row = (title: string, { median, min, max }: Spread) =>
    `| ${title} | ${median.toFixed(0)} (${min.toFixed(0)} – ${max.toFixed(0)}) |`;
  const each = rates.equal.each.map((rate, i) => ratio(rate, rates.cmp.each[i] as number).toFixed(2));
  return `# diff

Commit ${currentCommit()}, ${cpu}, ${logicalCores} cores, ${memoryGib} GiB, ${platform}, Node ${process.version}.
Two bf16 files of ${mib} MiB in the page cache. MB/s are of one file's bytes, though both are read. Each of the ${rates.cmp.each.length} rounds (and one
to warm up, not counted) runs \`cmp\`, then diff on the equal files, then on the wholly different ones.

| files | MB/s: median (min – max) |
| --- | --- |
${row("equal, `cmp`", rates.cmp)}
${row("equal, diff", rates.equal)}
${row("wholly different, diff", rates.different)}

Equal files: ${ratio(rates.equal.median, rates.cmp.median).toFixed(2)} × \`cmp\`; in each round ${each.join(", ")}.
Load of the machine (processes that ran or waited in the last minute): ${loads[0]} before, ${loads[1]} after; this benchmark alone is about 2.
`;
}

/** The benchmark as `npm run bench -- diff` runs it. */
export async function diffBench(args: string[]): Promise<void> {
  const { values } = parseArgs({ args, options: { mib: { type: "string" }, rounds: { type: "string" }, out: { type: "string" } } });
  const count = Math.max(1, Math.round(Number(values.mib ?? 512) / MIB_PER_TENSOR));
  const mib = count * MIB_PER_TENSOR;
  const folder = await mkdtemp(join(tmpdir(), "heirloom-bench-diff-"));
  try {
    const before = load();
    const rates = await measure(folder, count, Number(values.rounds ?? 5));
    const text = toMarkdown(rates, mib, [before, load()]);
    console.log(text);
    if (values.out === undefined) return;
    await writeTextAtomic(`${values.out}.md`, text);
    const equalOverCmp = ratio(rates.equal.median, rates.cmp.median);
    await writeKernelReport(`${values.out}.json`, { mib, megabytesPerSecond: rates, equalOverCmp });
  } finally {
    await rm(folder, { recursive: true });
  }
}
