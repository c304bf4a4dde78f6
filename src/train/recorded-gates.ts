import { type GateConfig, gateSets, isAnswerMetric, type MeasuredSets } from "../config/index.ts";

/**
 * A record's gates on the sets that are evaluated now.
 *
 * @param aliases the run's own set that a parent's is, by the parent's name
 * @returns `notes`: what of them is not judged
 */
export function recordedGates(
  recorded: readonly GateConfig[],
  sets: MeasuredSets,
  aliases: ReadonlyMap<string, string>,
): { gates: GateConfig[]; notes: string[] } {
  const gates: GateConfig[] = [];
  const notes: string[] = [];
  for (const gate of recorded) {
    const known = isAnswerMetric(gate.metric) ? sets.answers : sets.losses;
    const named = gateSets({ ...gate, dataset: gate.dataset?.map((name) => aliases.get(name) ?? name) ?? null }, sets);
    const judged = named.filter((name) => known.includes(name));
    for (const name of named.filter((candidate) => !known.includes(candidate)))
      notes.push(`the recorded gate on the ${gate.metric} of "${name}" is not judged: that set is not evaluated here`);
    if (named.length === 0) notes.push(`a recorded gate is not judged: no set with ${gate.metric} is evaluated here`);
    if (judged.length > 0) gates.push({ ...gate, dataset: [...new Set(judged)] });
  }
  return { gates, notes };
}
