import { HeirloomError, ProblemList } from "../core/index.ts";
import { type AdapterParameterOptions, newAdapterParameters } from "./adapter-parameters.ts";
import { type Parameter, readValues, writeValues } from "./parameter.ts";

/**
 * Puts a saved adapter into a larger one of the same targets or more: LoRA ranks
 * may grow, tensors may be added, none may go. In memory A is [R, in] and B is
 * [R, out], so the old values are the first rows of the new; the new rows of B
 * are zero, and with alpha/r kept the outputs stay what they were.
 *
 * @param grown freshly initialized parameters of the new adapter; changed in place
 * @throws CONTINUE_CHANGE_INVALID for every tensor that would be dropped or shrink
 */
export function takeOverValues(saved: readonly Parameter[], grown: readonly Parameter[]): void {
  const problems = new ProblemList();
  const targets = new Map(grown.map((parameter) => [parameter.name, parameter]));
  for (const parameter of saved) {
    const target = targets.get(parameter.name);
    if (target === undefined) {
      problems.add("CONTINUE_CHANGE_INVALID", "the change would drop a tensor that was trained", {
        where: parameter.name,
        hint: "a continuation can add to an adapter, not take from it",
      });
      continue;
    }
    const isLora = parameter.role === "lora_A" || parameter.role === "lora_B";
    if (target.values.length < parameter.values.length || (target.values.length > parameter.values.length && !isLora)) {
      problems.add(
        "CONTINUE_CHANGE_INVALID",
        `the change would turn shape [${parameter.shape.join(", ")}] into [${target.shape.join(", ")}]`,
        { where: parameter.name, hint: "a rank can grow, not shrink" },
      );
      continue;
    }
    if (target.values !== parameter.values) writeValues(target, readValues(parameter));
  }
  problems.throwIfAny();
}

/**
 * The parameters of an adapter that goes on from a saved one: the values that were saved, and, where it has tensors
 * or rows beyond them, what a new adapter of the same seed would have there. Only those are drawn.
 *
 * @param saved may share its memory with the result
 * @throws CONTINUE_CHANGE_INVALID for every tensor that would be dropped or shrink
 */
export async function growAdapter(saved: readonly Parameter[], options: AdapterParameterOptions): Promise<Parameter[]> {
  const grown = await newAdapterParameters(options, new Map(saved.map((parameter) => [parameter.name, parameter])));
  takeOverValues(saved, grown);
  return grown;
}

/** Refuses a smaller rank before anything is read. */
export function requireGrowth(savedRank: number, rank: number): void {
  if (rank >= savedRank) return;
  throw new HeirloomError("CONTINUE_CHANGE_INVALID", `expected a rank of at least the adapter's ${savedRank}, found ${rank}`, {
    where: "--change rank",
    hint: "a smaller rank cannot hold what was trained; train a new adapter, or merge this one into the base first",
  });
}
