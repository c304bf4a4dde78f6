// audit/explain: which adapters print a banner: the numbers out of a log, all configurations
// of a base that give them, ranked, and what decides between them. Opens no file and imports
// nothing of Node: it also runs in a browser.
export type { AdapterFacts, AdapterReading, AdapterState } from "./adapter-evidence.ts";
export { type Banner, type BannerForm, type PrintedCount, type PrintedPercent, parseBanners } from "./banner.ts";
export type { Counting } from "./base-sizes.ts";
export type { CopyState } from "./copy-states.ts";
export { type ExplainOptions, explain } from "./explain.ts";
export type { Conflict, CopyHypothesis, FileDtype, FileDtypes, FileSize, Hypothesis, TrainedCounts } from "./hypothesis.ts";
export type { ExplainedBase, ExplainResult, Explanation, ObservedCounts } from "./result.ts";
export type { BiasChoice } from "./search.ts";
export type { Sibling } from "./siblings.ts";
export { hypothesisInWords } from "./words.ts";
