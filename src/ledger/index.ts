// ledger: the exact table of a model's tensors: predicted from configuration, read from
// file headers, observed live; one comparison, PEFT's counts and banner, learning-rate
// groups. Knows nothing of values; observing and reading never call the prediction.

export { assertSameLedger, type CompareOptions, compareLedgers, describeDifference, withoutBase } from "./compare.ts";
export { ledgerCounts, peftBanner, peftBanners } from "./counts.ts";
export { hasEightBitMoments, MOMENT_BLOCK } from "./eight-bit-moments.ts";
export { DEFAULT_GROUP, matchesTensor, matchGroups } from "./groups.ts";
export { type ModuleNode, moduleTree } from "./module-tree.ts";
export { diskKey } from "./names.ts";
export { type LiveTensor, observeLedger } from "./observe.ts";
export { hasWeightDecay, type OptimizerOrder, type TrainerGroups, trainerParameterIndex } from "./optimizer-index.ts";
export { type PredictOptions, predictLedger } from "./predict.ts";
export { adapterFromConfig, predictRun } from "./predict-run.ts";
export { type AdapterFiles, readLedger, type StoredEntry } from "./read.ts";
export { type RecoveredOptimizer, recoverOptimizer, type StatedGroups } from "./recover-optimizer.ts";
export { type LedgerRow, ledgerTable } from "./table.ts";
export { type TiedTraining, tiedTraining } from "./tied-choice.ts";
export type { GroupRule, Ledger, LedgerBasis, LedgerCounts, LedgerDifference, LedgerDifferenceKind, LedgerEntry, Role } from "./types.ts";
export { inUsualOrder } from "./usual-order.ts";
