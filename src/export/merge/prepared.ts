import type { Runtime } from "../../compute/index.ts";
import type { ModelFolder } from "../../folders/index.ts";
import type { AdapterSource, BaseSource } from "../adapter-source.ts";
import type { HeldAs } from "../tensor-rows.ts";
import type { MergeDtype, MergeRequest, MergeTarget } from "./api.ts";
import type { MergePlan } from "./plan.ts";

/** A merge whose inputs are open and whose choices are made. */
export interface Merge {
  readonly request: MergeRequest;
  readonly adapter: AdapterSource;
  readonly base: BaseSource;
  readonly original: ModelFolder | null;
  readonly plan: MergePlan;
  readonly held: HeldAs;
  readonly onto: MergeTarget;
  readonly dtype: MergeDtype;
  /** Null if nothing is to be compared. */
  readonly runtime: Runtime | null;
}
