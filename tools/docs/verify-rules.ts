// The page of the audit's rules, written from the rules themselves.
import { ALL_RULES, type Rule } from "../../src/audit/index.ts";

/** What a rule needs, in words of the command line; what every adapter has is not worth saying. */
const NEEDS: Readonly<Record<string, string>> = {
  modules: "`--base`",
  base: "`--base`",
  baseWeights: "`--base` with weights",
  previous: "`--against`, or a run",
  earlier: "`--against`, or a run",
  values: "values",
  run: "a run that came to its end",
  trainer: "a checkpoint",
  optimizer: "a checkpoint with its optimizer",
  banners: "`--log` or `--banner`",
  tokenizer: "a tokenizer.json",
  model: "a model",
  peftRelease: "`--peft`",
};

function needsText({ needs }: Rule): string {
  const words = needs.flatMap((part) => NEEDS[part] ?? []).filter((word, i, all) => all.indexOf(word) === i);
  // A base with weights is a base.
  return words.filter((word) => word !== "`--base`" || !words.includes("`--base` with weights")).join(", ") || "nothing else";
}

function section(rule: Rule): string {
  const { id, severity, meaning, remedy } = rule;
  return `## ${id}\n\n*${severity}*; needs ${needsText(rule)}.\n\n${meaning}\n\nWhat to do: ${remedy}.`;
}

/** docs/reference/verify-rules.md */
export function verifyRulesPage(generatedFrom: string): { file: string; text: string } {
  const text = `# Rules of verify

${generatedFrom}

\`heirloom verify PATH\` runs every rule whose files are there and lists the others with the reason. Values are read with \`--values\`, or when
\`--base\` or \`--against\` is given. An *error* ends it with exit 20, a *warning* does so with \`--strict\`, a *note* never. \`--only RULE\` picks
rules, \`--ignore RULE:reason\` leaves one out. [What verify catches](../what-verify-catches.md) goes from symptoms to rules.

${ALL_RULES.map(section).join("\n\n")}
`;
  return { file: "verify-rules.md", text };
}
