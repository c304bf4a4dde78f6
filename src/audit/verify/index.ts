// audit/verify: the rules of the audit, one file each under rules/, and what runs them over
// an adapter, a checkpoint, a model or a whole run. Reads headers, and values where asked.
// A new rule is one file, one line in rules/index.ts and one pair of fixtures.
export type { Finding, SkippedRule } from "./engine.ts";
export type { FixReport } from "./fix.ts";
export { ALL_RULES, type RuleId } from "./rules/index.ts";
export type { Rule, RuleFinding, Severity } from "./types.ts";
export { type VerifyOptions, type VerifyResult, verifyPath } from "./verify-path.ts";
