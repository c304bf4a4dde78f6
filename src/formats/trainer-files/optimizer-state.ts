import { pyFloat } from "../python-float.ts";
import { pyTuple, type TensorToSave, type ValueToSave } from "../torch-write-values.ts";

/** What `state_dict()` of a `torch.optim` optimizer holds, as Trainer saves it in optimizer.pt. */
export interface OptimizerStateDict {
  /** By the parameter's index, counted through all groups. */
  readonly state: ReadonlyMap<number, ReadonlyMap<string, ValueToSave>>;
  /** Options of each group in torch's order, without `params`. */
  readonly groups: readonly { readonly options: ReadonlyMap<string, ValueToSave>; readonly params: readonly number[] }[];
}

/** Any optimizer's state_dict; see {@link adamWStateDict} for Trainer's default one. */
export function optimizerStateDict({ state, groups }: OptimizerStateDict): ValueToSave {
  return new Map<string, ValueToSave>([
    ["state", state],
    ["param_groups", groups.map(({ options, params }) => new Map<string, ValueToSave>([...options, ["params", params]]))],
  ]);
}

/** AdamW's state of one parameter. */
export interface AdamWParameterState {
  /** Updates of this parameter so far: a tensor without axes, F32, as torch keeps it. */
  readonly step: TensorToSave;
  readonly expAvg: TensorToSave;
  readonly expAvgSq: TensorToSave;
}

/** One group of AdamW. */
export interface AdamWGroup {
  /** The rate that the next update uses. */
  readonly lr: number;
  /** The rate that the schedule multiplies. */
  readonly initialLr: number;
  readonly betas: readonly [number, number];
  readonly eps: number;
  readonly weightDecay: number;
  readonly params: readonly number[];
}

/** How torch computes; it takes these from the file when it goes on. */
export interface AdamWOptions {
  /** As `optim="adamw_torch_fused"` has it. @defaultValue null, torch's own choice */
  readonly fused?: boolean | null;
  /** @defaultValue null, torch's own choice */
  readonly foreach?: boolean | null;
}

function adamWOptions(group: AdamWGroup, { fused = null, foreach = null }: AdamWOptions): ReadonlyMap<string, ValueToSave> {
  return new Map<string, ValueToSave>([
    ["weight_decay", pyFloat(group.weightDecay)],
    ["lr", pyFloat(group.lr)],
    ["betas", pyTuple(pyFloat(group.betas[0]), pyFloat(group.betas[1]))],
    ["eps", pyFloat(group.eps)],
    ["amsgrad", false],
    ["maximize", false],
    ["foreach", foreach],
    ["capturable", false],
    ["differentiable", false],
    ["fused", fused],
    ["decoupled_weight_decay", true],
    ["initial_lr", pyFloat(group.initialLr)],
  ]);
}

/**
 * state_dict of `torch.optim.AdamW` (torch 2.13) with the options in the order that
 * Trainer's groups give them. Trainer makes two groups, the second (no decay)
 * may be empty but has to be there: torch compares the number of groups and of
 * parameters in each, nothing else.
 */
export function adamWStateDict(
  parameters: ReadonlyMap<number, AdamWParameterState>,
  groups: readonly AdamWGroup[],
  options: AdamWOptions = {},
): ValueToSave {
  const state = new Map(
    [...parameters].map(([index, { step, expAvg, expAvgSq }]): [number, ReadonlyMap<string, ValueToSave>] => [
      index,
      new Map([
        ["step", step],
        ["exp_avg", expAvg],
        ["exp_avg_sq", expAvgSq],
      ]),
    ]),
  );
  return optimizerStateDict({ state, groups: groups.map((group) => ({ options: adamWOptions(group, options), params: group.params })) });
}

/** What bitsandbytes' optimizers keep of one parameter: `state1`, `state2`, and of 8-bit ones `qmap1`, `absmax1` and so on. */
export interface BitsandbytesParameterState {
  readonly step: number;
  readonly tensors: ReadonlyMap<string, TensorToSave>;
}

function bitsandbytesOptions(group: AdamWGroup): ReadonlyMap<string, ValueToSave> {
  return new Map<string, ValueToSave>([
    ["weight_decay", pyFloat(group.weightDecay)],
    ["lr", pyFloat(group.lr)],
    ["betas", pyTuple(pyFloat(group.betas[0]), pyFloat(group.betas[1]))],
    ["eps", pyFloat(group.eps)],
    ["alpha", pyFloat(0)],
    ["t_alpha", null],
    ["t_beta3", null],
    ["initial_lr", pyFloat(group.initialLr)],
  ]);
}

/** state_dict of `bitsandbytes.optim.AdamW8bit` (bitsandbytes 0.50), which keeps a parameter's tensors in a dict of their own. */
export function adamW8bitStateDict(
  parameters: ReadonlyMap<number, BitsandbytesParameterState>,
  groups: readonly AdamWGroup[],
): ValueToSave {
  const state = new Map(
    [...parameters].map(([index, { step, tensors }]): [number, ReadonlyMap<string, ValueToSave>] => [
      index,
      new Map<string, ValueToSave>([
        ["step", step],
        ["__bnb_optimizer_quant_state__", tensors],
      ]),
    ]),
  );
  return optimizerStateDict({ state, groups: groups.map((group) => ({ options: bitsandbytesOptions(group), params: group.params })) });
}
