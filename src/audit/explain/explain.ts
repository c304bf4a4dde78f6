import type { ModelSpec } from "../../model/index.ts";
import { type AdapterFacts, type AdapterReading, conflictsOf, readAdapter } from "./adapter-evidence.ts";
import { type Banner, type BannerForm, parseBanners } from "./banner.ts";
import { type BaseSizes, baseSizes } from "./base-sizes.ts";
import { countRange, type Observed, totalsFor, within } from "./constraint.ts";
import { byOrdinariness, type Hypothesis, hypothesisOf } from "./hypothesis.ts";
import { sameAdapter } from "./same-adapter.ts";
import { type Solution, searchSolutions } from "./search.ts";
import { type Sibling, siblingsOf } from "./siblings.ts";
import { adviceFor, verdictOf } from "./verdict.ts";

/** The numbers of one line, as printed. */
export interface ObservedCounts {
  readonly trainable: number;
  readonly all: number | null;
  readonly percent: number | null;
  /** How far off the counts may be, where they were printed as `3.408M`; else 0. */
  readonly within: number;
  readonly form: BannerForm;
  readonly line: number;
  readonly text: string;
}

/** One banner and all that gives its numbers. */
export interface Explanation {
  readonly observed: ObservedCounts;
  /** Every configuration that gives the numbers, the most ordinary first; if none does, those that give some of them. */
  readonly hypotheses: readonly Hypothesis[];
  /** How many of them are exact: all or none. */
  readonly exactCount: number;
}

/** What the base model counts as. */
export interface ExplainedBase {
  readonly architecture: string;
  readonly parameters: number;
  /** As a counter prints it that takes 4-bit weights by their bytes. PEFT does not. */
  readonly packedParameters: number;
  readonly tied: boolean;
  readonly layers: number;
  readonly linears: readonly string[];
}

/** The fields of `explain --json`. The last banner of a log is the one that is explained; those before it are in `earlier`. */
export interface ExplainResult extends Explanation {
  readonly base: ExplainedBase;
  readonly adapter: AdapterReading | null;
  /** What the same selection prints and weighs at other ranks, by the most ordinary hypothesis. */
  readonly otherRanks: readonly Sibling[];
  readonly earlier: readonly Explanation[];
  /**
   * With several banners: each row is one adapter that prints all of them, one hypothesis per banner
   * (`earlier` first). Empty if no one adapter can; null with one banner.
   */
  readonly sameAdapter: readonly (readonly Hypothesis[])[] | null;
  /** Plain words, a sentence a line. */
  readonly verdict: string;
  /** What to do next, with the commands to type. */
  readonly advice: readonly string[];
}

/** What may be given beside banner and base. */
export interface ExplainOptions {
  /** The adapter that the banner is said to be of. */
  readonly adapter?: AdapterFacts;
  /** How the commands in the advice name the base. @defaultValue "BASE" */
  readonly baseName?: string;
  /** How they name the adapter. @defaultValue "ADAPTER" */
  readonly adapterName?: string;
}

/** Which numbers of the banner a solution does not give. */
function missesOf(solution: Solution, { trainable, all, percent }: Observed): string[] {
  const misses: string[] = [];
  if (!within(countRange(trainable), solution.trainable)) misses.push("trainable");
  if (solution.all === null) return misses;
  if (all !== null && !within(countRange(all), solution.all)) misses.push("all");
  if (percent !== null && !within(totalsFor({ trainable, all: null, percent }, solution.trainable), solution.all)) misses.push("percent");
  return misses;
}

/** The exact solutions; without any, those that give up the share, then the total. */
function solutionsFor(base: BaseSizes, observed: Observed): { solutions: Solution[]; exact: boolean } {
  const exact = searchSolutions(base, observed);
  if (exact.length > 0) return { solutions: exact, exact: true };
  const relaxed: Observed[] = [];
  if (observed.percent !== null && observed.all !== null) relaxed.push({ ...observed, percent: null }, { ...observed, all: null });
  if (observed.percent !== null || observed.all !== null) relaxed.push({ ...observed, all: null, percent: null });
  for (const weaker of relaxed) {
    const solutions = searchSolutions(base, weaker);
    if (solutions.length > 0) return { solutions, exact: false };
  }
  return { solutions: [], exact: false };
}

function observedCounts({ trainable, all, percent, form, line, text }: Banner): ObservedCounts {
  return {
    trainable: trainable.value,
    all: all?.value ?? null,
    percent: percent?.value ?? null,
    within: trainable.within,
    form,
    line,
    text,
  };
}

function explainBanner(banner: Banner, base: BaseSizes, adapter: { reading: AdapterReading; facts: AdapterFacts } | null): Explanation {
  const { solutions, exact } = solutionsFor(base, banner);
  const hypotheses = solutions
    .map((solution) => {
      const plain = hypothesisOf(solution, base, { exact, misses: exact ? [] : missesOf(solution, banner), conflictsWith: [] });
      return adapter === null ? plain : { ...plain, conflictsWith: conflictsOf(plain, adapter.reading, adapter.facts.config) };
    })
    .sort(byOrdinariness);
  return { observed: observedCounts(banner), hypotheses, exactCount: exact ? hypotheses.length : 0 };
}

function explainedBase(spec: ModelSpec, sizes: BaseSizes): ExplainedBase {
  return {
    architecture: spec.architecture,
    parameters: sizes.parameters.values,
    packedParameters: sizes.parameters.packed,
    tied: sizes.tied,
    layers: sizes.layerCount,
    linears: sizes.linears.map(({ name }) => name),
  };
}

/**
 * Says which adapters print a banner: every rank, set of modules, number of layers
 * and state of the full copies that give exactly its numbers, the most ordinary
 * first, and what would decide between them. Runs in a browser too.
 *
 * @param text a trainer's line, a log with some of them, or one to three numbers
 * @param spec the base model, by its config.json
 * @throws USAGE if the text holds no such numbers
 * @example
 * const { verdict } = explain("trainable params: 167,772,160 (1.81%)", parseModelConfig(json, "config.json"));
 */
export function explain(text: string, spec: ModelSpec, options: ExplainOptions = {}): ExplainResult {
  const banners = parseBanners(text);
  const base = baseSizes(spec);
  const last = banners.at(-1) ?? banners[0];
  const facts = options.adapter ?? null;
  const adapter = facts === null ? null : { facts, reading: readAdapter(facts, spec, last) };
  const [now, ...before] = banners.map((banner) => explainBanner(banner, base, adapter)).reverse() as [Explanation, ...Explanation[]];
  const earlier = before.reverse();
  const found = {
    observed: now.observed,
    hypotheses: now.hypotheses,
    exactCount: now.exactCount,
    base: explainedBase(spec, base),
    adapter: adapter?.reading ?? null,
    otherRanks: siblingsOf(now.hypotheses[0], base),
    earlier,
    sameAdapter: earlier.length === 0 ? null : sameAdapter([...earlier, now]),
  };
  return {
    ...found,
    verdict: verdictOf(found).join("\n"),
    advice: adviceFor(found, { base: options.baseName ?? "BASE", adapter: options.adapterName ?? "ADAPTER" }),
  };
}
