import type { ProgramWork, SpanKind } from "../../core/index.ts";
import type { ProfileShareName, ProfileSummary } from "../../runs/index.ts";

/** Sums over some updates (or over what is outside of them); milliseconds. */
export class Tally {
  updates = 0;
  microSteps = 0;
  total = 0;
  /** Time in spans of a kind, less the spans inside of them. */
  readonly own = new Map<SpanKind, number>();
  /** Time in runs of each program, and how many there were. */
  readonly programs = new Map<ProgramWork, { ms: number; runs: number }>();

  spend(kind: SpanKind, ms: number): void {
    this.own.set(kind, (this.own.get(kind) ?? 0) + ms);
  }

  ran(program: ProgramWork, ms: number): void {
    const known = this.programs.get(program) ?? { ms: 0, runs: 0 };
    this.programs.set(program, { ms: known.ms + ms, runs: known.runs + 1 });
  }

  add(other: Tally): void {
    this.updates += other.updates;
    this.microSteps += other.microSteps;
    this.total += other.total;
    for (const [kind, ms] of other.own) this.spend(kind, ms);
    for (const [program, { ms, runs }] of other.programs) {
      const known = this.programs.get(program) ?? { ms: 0, runs: 0 };
      this.programs.set(program, { ms: known.ms + ms, runs: known.runs + runs });
    }
  }
}

/** Share of each kind of work in the time of a program's runs, as its kernels were timed. */
export type KernelShares = ReadonlyMap<ProgramWork, ReadonlyMap<string, number>>;

/** Where a kind of work is shown; kinds of a graph that are not named here are the runtime's own. */
const OF_WORK: Readonly<Record<string, ProfileShareName>> = {
  base: "base products",
  lora: "LoRA products",
  attention: "attention",
  head: "head",
  elementwise: "elementwise",
  copies: "copies",
};

const OF_SPAN: Readonly<Partial<Record<SpanKind, ProfileShareName>>> = {
  data: "data",
  embedding: "embedding",
  head: "head",
  weights: "dequantization",
  gradients: "gradients",
  clipping: "gradients",
  optimizer: "optimizer",
};

/** How a program's time is divided: by its kernels, or where they were not timed, by its products' operations. */
function divided(program: ProgramWork, kernels: KernelShares): ReadonlyMap<string, number> {
  const known = kernels.get(program);
  if (known !== undefined) return known;
  const total = Object.values(program.flops).reduce((sum, flops) => sum + flops, 0);
  return new Map(Object.entries(program.flops).map(([kind, flops]) => [kind, flops / total]));
}

/** Milliseconds by share; they add up to the tally's total. */
function shareTimes(tally: Tally, kernels: KernelShares): Map<ProfileShareName, number> {
  const times = new Map<ProfileShareName, number>();
  let left = tally.total;
  const spend = (name: ProfileShareName, ms: number): void => {
    left -= ms;
    times.set(name, (times.get(name) ?? 0) + ms);
  };
  for (const [program, { ms }] of tally.programs) {
    let known = 0;
    for (const [kind, share] of divided(program, kernels)) {
      const name = OF_WORK[kind];
      if (name === undefined) continue;
      known += share;
      spend(name, share * ms);
    }
    spend("runtime", (1 - known) * ms);
  }
  for (const [kind, ms] of tally.own) {
    const name = OF_SPAN[kind];
    if (name !== undefined) spend(name, ms);
  }
  spend("rest", left);
  return times;
}

function flopsOf(tally: Tally): Record<string, number> {
  const flops: Record<string, number> = {};
  for (const [program, { runs }] of tally.programs)
    for (const [kind, own] of Object.entries(program.flops)) flops[kind] = (flops[kind] ?? 0) + (runs * own) / tally.updates;
  return flops;
}

/** What a summary is made from besides where it was written. */
export interface Tallies {
  /** The first update of the process, and those after it. */
  readonly first: Tally;
  readonly others: Tally;
  readonly outside: Tally;
  readonly kernels: KernelShares;
  readonly gemmFlopsPerSecond: number;
}

/** Where the time of a run's updates went; null if it made none. */
export function summarize({
  first,
  others,
  outside,
  kernels,
  gemmFlopsPerSecond,
}: Tallies): Omit<ProfileSummary, "file" | "events" | "eventsLeftOut" | "fault"> | null {
  const tally = others.updates > 0 ? others : first;
  if (tally.updates === 0) return null;
  const secondsPerUpdate = tally.total / 1000 / tally.updates;
  const shares = [...shareTimes(tally, kernels)]
    .map(([name, ms]) => ({ name, seconds: ms / 1000 / tally.updates, share: ms / tally.total }))
    .sort((a, b) => b.seconds - a.seconds);
  const flopsByKind = flopsOf(tally);
  const flops = Object.values(flopsByKind).reduce((sum, own) => sum + own, 0);
  const boundSeconds = flops / gemmFlopsPerSecond;
  return {
    updates: tally.updates,
    microSteps: tally.microSteps,
    secondsPerUpdate,
    firstUpdateSeconds: others.updates > 0 ? first.total / 1000 : null,
    shares,
    kernels: [...tally.programs.keys()].some((program) => kernels.has(program)),
    flops,
    flopsByKind,
    gemmFlopsPerSecond,
    boundSeconds,
    boundShare: boundSeconds / secondsPerUpdate,
    outside: Object.fromEntries([...outside.own].map(([kind, ms]) => [kind, ms / 1000])),
  };
}
