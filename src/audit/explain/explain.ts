import type { ModelSpec } from "../../model/index.ts";
import { type AdapterFacts, type AdapterReading, conflictsOf, readAdapter } from "./adapter-evidence.ts";
import { type Banner, parseBanners } from "./banner.ts";
import { type BaseSizes, baseSizes } from "./base-sizes.ts";
import { countRange, type Observed, totalsFor, within } from "./constraint.ts";
import { byOrdinariness, type Hypothesis, hypothesisOf } from "./hypothesis.ts";
import type { ExplainedBase, ExplainResult, Explanation, ObservedCounts } from "./result.ts";
import { sameAdapter } from "./same-adapter.ts";
import { type Solution, searchSolutions } from "./search.ts";
import { siblingsOf } from "./siblings.ts";
import { adviceFor, verdictOf } from "./verdict.ts";

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

/** One more than half a unit of the last digit: a digit that was misread or rounded another way. */
const NEARLY = 1.5;

/** Where the share decides nothing exactly, those that nearly have it come first: an ordinary adapter with another share was not printed. */
function byShareThenOrdinariness({ percent }: Observed): (a: Hypothesis, b: Hypothesis) => number {
  if (percent === null) return byOrdinariness;
  const isOff = (found: Hypothesis): boolean =>
    found.percent === null || Math.abs(found.percent - percent.value) > NEARLY * 10 ** -percent.decimals;
  return (a, b) => Number(isOff(a)) - Number(isOff(b)) || byOrdinariness(a, b);
}

function explainBanner(banner: Banner, base: BaseSizes, adapter: { reading: AdapterReading; facts: AdapterFacts } | null): Explanation {
  const { solutions, exact } = solutionsFor(base, banner);
  const hypotheses = solutions
    .map((solution) => {
      const misses = exact ? [] : missesOf(solution, banner);
      const plain = hypothesisOf(solution, base, { exact, misses, conflictsWith: [] }, adapter?.reading.dtypes ?? null);
      return adapter === null ? plain : { ...plain, conflictsWith: conflictsOf(plain, adapter.reading, adapter.facts.config) };
    })
    .sort(exact ? byOrdinariness : byShareThenOrdinariness(banner));
  return { observed: observedCounts(banner), hypotheses, exactCount: exact ? hypotheses.length : 0 };
}

function explainedBase(spec: ModelSpec, sizes: BaseSizes): ExplainedBase {
  return {
    architecture: spec.architecture,
    hiddenSize: sizes.hiddenSize,
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
    otherRanks: siblingsOf(now.hypotheses[0], base, adapter?.reading.dtypes ?? null),
    earlier,
    sameAdapter: earlier.length === 0 ? null : sameAdapter([...earlier, now]),
  };
  return {
    ...found,
    verdict: verdictOf(found).join("\n"),
    advice: adviceFor(found, { base: options.baseName ?? "BASE", adapter: options.adapterName ?? "ADAPTER" }),
  };
}
