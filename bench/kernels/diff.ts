// diff on files in the page cache: two equal ones beside `cmp`, and two in which every bf16 value differs. Rates are of one
// file's bytes per second; median and range of the rounds.
//
//   npm run bench -- diff [--mib 512] [--rounds 5] [--json FILE]
import { execFileSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { diffPaths } from "../../src/audit/index.ts";
import { InternalError } from "../../src/core/index.ts";
import { writeFileAtomic } from "../../src/core/node/index.ts";
import { encodeSafetensors, type TensorToWrite } from "../../src/formats/index.ts";
import { type Spread, spread, writeKernelReport } from "../steps/report.ts";

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

/** The benchmark as `npm run bench -- diff` runs it. */
export async function diffBench(args: string[]): Promise<void> {
  const { values } = parseArgs({ args, options: { mib: { type: "string" }, rounds: { type: "string" }, json: { type: "string" } } });
  const count = Math.max(1, Math.round(Number(values.mib ?? 512) / MIB_PER_TENSOR));
  const folder = await mkdtemp(join(tmpdir(), "heirloom-bench-diff-"));
  try {
    const rates = await measure(folder, count, Number(values.rounds ?? 5));
    console.log("| files | MB/s (min – max) |\n| --- | --- |");
    for (const [name, { median, min, max }] of Object.entries<Spread>({ ...rates }))
      console.log(`| ${name} | ${median.toFixed(0)} (${min.toFixed(0)} – ${max.toFixed(0)}) |`);
    const equalOverCmp = Number((rates.equal.median / rates.cmp.median).toFixed(3));
    const peakRssMib = Math.round(process.resourceUsage().maxRSS / 1024);
    console.log(`\nequal files: ${equalOverCmp} of cmp's rate; peak memory of the process ${peakRssMib} MiB`);
    await writeKernelReport(values.json, { mib: count * MIB_PER_TENSOR, megabytesPerSecond: rates, equalOverCmp, peakRssMib });
  } finally {
    await rm(folder, { recursive: true });
  }
}
