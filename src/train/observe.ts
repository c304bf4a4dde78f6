import { PEFT_PREFIX } from "../adapter/index.ts";
import type { BaseTensor, CausalModel, Parameter } from "../engine/index.ts";
import { type Ledger, type LiveTensor, observeLedger } from "../ledger/index.ts";
import type { Optimizer, OptimizerSlot } from "./optimizers/index.ts";

/** The name that PEFT gives a base tensor in a live model: inside its wrapper, where a module has one. */
function liveBaseName(name: string, parameters: readonly Parameter[]): string {
  if (parameters.every(({ role }) => role === "base")) return name;
  const module = name.slice(0, name.lastIndexOf("."));
  const isIn = (path: string): boolean => name.startsWith(`${path}.`);
  const own = parameters.filter((parameter) => isIn(parameter.module) || parameter.keys.includes(name));
  const copy = own.find(({ role }) => role === "full_copy");
  // A copied block is wrapped as a whole; a tied head, whose tensor is the embedding's, in its own place.
  const path = copy !== undefined && isIn(copy.module) ? copy.module : module;
  const wrapper = copy !== undefined ? "original_module." : own.length > 0 ? "base_layer." : "";
  return `${PEFT_PREFIX}${path}.${wrapper}${name.slice(path.length + 1)}`;
}

/** The base's own tensors that are not among the parameters, by their live names. */
export function frozenTensors({ base, parameters }: CausalModel["weights"]): (BaseTensor & { readonly liveName: string })[] {
  const trained = new Set(parameters.map(({ name }) => name));
  return [...base.tensors()]
    .filter(({ name }) => !trained.has(name))
    .map((tensor) => ({ ...tensor, liveName: liveBaseName(tensor.name, parameters) }));
}

/** Whether an optimizer keeps the moments of every value, by torch's names or bitsandbytes'. */
function hasMoments({ parameter, state }: OptimizerSlot): boolean {
  const isWhole = (name: string): boolean => state[name]?.length === parameter.values.length;
  return (isWhole("exp_avg") && isWhole("exp_avg_sq")) || (isWhole("state1") && isWhole("state2"));
}

/**
 * The ledger of what is really being trained: a tensor is trainable if a
 * compiled graph for these batches gives its gradient *and* the optimizer has a
 * slot for it. Asks the graphs and the slots, never the plan that they were
 * made from.
 *
 * @param batch sequences, and @param sequence tokens, of a micro-batch of the run
 */
export async function observeSession(model: CausalModel, optimizer: Optimizer, batch: number, sequence: number): Promise<Ledger> {
  const withGradient = await model.gradientParameters(batch, sequence);
  const slots = new Map(optimizer.slots.map((slot) => [slot.parameter, slot]));
  const { parameters } = model.weights;
  const live: LiveTensor[] = parameters.map((parameter) => {
    const slot = slots.get(parameter);
    return {
      name: parameter.name,
      shape: parameter.shape,
      dtype: parameter.masterDtype,
      bytes: parameter.values.byteLength,
      trainable: withGradient.has(parameter) && slot !== undefined && hasMoments(slot),
      group: slot?.group ?? null,
    };
  });
  for (const { liveName, shape, dtype, bytes } of frozenTensors(model.weights)) {
    live.push({ name: liveName, shape, dtype, bytes, trainable: false, group: null });
  }
  return observeLedger(live);
}
