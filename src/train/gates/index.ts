// gates: whether what was measured may pass - conditions of the configuration, the equality that a load owes to
// what was saved, and when to stop early. Knows numbers and names; measures nothing itself.
export { EarlyStopping, type StoppingState } from "./early-stopping.ts";
export { type BeforeAndAfter, gateError, judgeGates, type Measured, requireKnownSets } from "./judge.ts";
export { continuationOwes, type Owed, resumptionOwes, type SameLoss, sameLosses, samenessError } from "./same-loss.ts";
