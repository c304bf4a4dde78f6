// gates: whether what was measured may pass - conditions of the configuration, the equality that a load owes to
// what was saved, and when to stop early. Knows numbers and names; measures nothing itself.
export { EarlyStopping } from "./early-stopping.ts";
export { gateError, judgeGates, requireKnownSets } from "./judge.ts";
export {
  continuationOwes,
  evaluationOwes,
  nearness,
  type Owed,
  resumptionOwes,
  type SameLoss,
  sameLosses,
  samenessError,
} from "./same-loss.ts";
