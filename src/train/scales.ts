import { type AdapterSpec, moduleScales, resolveForEngine } from "../adapter/index.ts";
import type { ChangeName } from "../config/index.ts";
import { HeirloomError } from "../core/index.ts";
import type { AdapterFolder } from "../folders/index.ts";
import { adapterFromConfig } from "../ledger/index.ts";
import type { ModelSpec } from "../model/index.ts";

/** An alpha that follows its rank is rounded: two divisions, a few units of 2^-53. */
const ROUNDING = 1e-14;

/** A module whose scaling differs between two adapters. */
interface ScaleDifference {
  readonly module: string;
  readonly before: string;
  readonly after: string;
}

function described({ alpha, rank }: { readonly alpha: number; readonly rank: number }, useRslora: boolean): string {
  return useRslora ? `${alpha}/√${rank}` : `${alpha}/${rank}`;
}

/** The first module of the adapter whose scaling another description changes; null if none is. */
function firstDifference(spec: ModelSpec, before: AdapterSpec, after: AdapterSpec): ScaleDifference | null {
  const scaleOf = moduleScales(after);
  for (const target of resolveForEngine(spec, before).lora) {
    const other = scaleOf(target.module);
    if (Math.abs(other.scaling - target.scaling) > ROUNDING * target.scaling) {
      return { module: target.module, before: described(target, before.useRslora), after: described(other, after.useRslora) };
    }
  }
  return null;
}

/** True if two adapters give each module of the first the same rank and alpha, however their patterns are written. */
export function sameScales(spec: ModelSpec, before: AdapterSpec, after: AdapterSpec): boolean {
  const scaleOf = moduleScales(after);
  return resolveForEngine(spec, before).lora.every(({ module, rank, alpha }) => {
    const other = scaleOf(module);
    return other.rank === rank && other.alpha === alpha;
  });
}

/**
 * Refuses an adapter whose scaling is no longer what its record says: another
 * tool, or a hand, changed what it computes. (Its tensors are compared with the
 * record when the live model is observed.)
 *
 * @throws LEDGER_MISMATCH
 */
export function requireRecordedScaling(spec: ModelSpec, { spec: adapter, record, folder }: AdapterFolder): void {
  const trained = record?.config.adapter ?? null;
  if (trained === null) return;
  const difference = firstDifference(spec, adapter, adapterFromConfig(trained, ""));
  if (difference === null) return;
  throw new HeirloomError(
    "LEDGER_MISMATCH",
    `expected a scaling (alpha/r) of ${difference.after} for ${difference.module} as recorded, found ${difference.before} in adapter_config.json`,
    { where: folder.name, hint: "go back to the files of its run, or delete its heirloom.json to continue it as it is now" },
  );
}

/** Changes that say that the scaling is to be another. */
const SCALING_CHANGES: readonly ChangeName[] = ["alpha", "alphaPattern", "rslora"];

/**
 * Refuses a change of ranks that would change what the adapter computes without saying so: alpha follows the rank
 * by itself only where no pattern sets one of the two.
 *
 * @throws CONTINUE_CHANGE_INVALID
 */
export function requireKeptScaling(spec: ModelSpec, before: AdapterSpec, after: AdapterSpec, named: ReadonlySet<ChangeName>): void {
  if (SCALING_CHANGES.some((name) => named.has(name))) return;
  const difference = firstDifference(spec, before, after);
  if (difference === null) return;
  throw new HeirloomError(
    "CONTINUE_CHANGE_INVALID",
    `the change would turn the scaling of ${difference.module} from ${difference.before} into ${difference.after}`,
    { hint: "give the alphas that go with the new ranks: --change alphaPattern='{…}', or --change alpha", details: { ...difference } },
  );
}
