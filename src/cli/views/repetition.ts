import type { Repetition } from "../../runs/index.ts";
import type { View } from "../command.ts";
import { escapeText, renderTable } from "../terminal/index.ts";

/** What differs, a line each; nothing if the run came out the same. */
function differences({ firstDifference, evaluations, output }: Repetition): string[] {
  const loss = (value: number | null): string => (value === null ? "none" : String(value));
  return [
    ...(firstDifference === null
      ? []
      : [`losses differ from update ${firstDifference.step} on: ${loss(firstDifference.before)} then, ${loss(firstDifference.now)} now`]),
    ...evaluations.map((name) => `held-out losses differ on "${name}"`),
    ...(output === null ? ["the run that is repeated made no adapter to compare with"] : output.map((file) => `other bytes in ${file}`)),
  ];
}

/** What train --from prints about how the repetition came out. */
export function repetitionView(repetition: Repetition, { paint }: View): string {
  const { of, identical, compared, inputs, environment, changes } = repetition;
  if (identical)
    return paint.green(`bit-identical to ${escapeText(of)}: ${compared} losses, all held-out losses and the bytes of what was made`);
  const changed = changes.map(({ what, ...values }) => ({ what: `changed on resume: ${what}`, ...values }));
  const causes = [...changed, ...inputs, ...environment];
  const table =
    causes.length === 0
      ? "inputs and environment are those of the record"
      : renderTable(
          [{ title: "not as it was" }, { title: "then" }, { title: "now" }],
          causes.map(({ what, a, b }) => [what, a, b]),
          paint,
        );
  return [paint.red(`not the same as ${escapeText(of)}`), ...differences(repetition).map((line) => `  ${escapeText(line)}`), table].join(
    "\n",
  );
}
