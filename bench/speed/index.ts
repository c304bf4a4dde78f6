// The rows of the table of speed, and how they are run: `npm run bench -- --only NAME[,NAME]`.
import { InternalError } from "../../src/core/index.ts";
import { FULL_8B } from "./full-8b.ts";
import { INSTRUCTIONS } from "./instructions.ts";
import { OPENING } from "./opening.ts";
import { speedReport, toMarkdown, writeReport } from "./report.ts";
import type { SpeedRow } from "./row.ts";
import { SCALING } from "./scaling.ts";
import { settingsOf } from "./settings.ts";
import { SMALL_ROWS } from "./small-rows.ts";
import { STEP_ROWS } from "./step-rows.ts";

export const SPEED_ROWS: readonly SpeedRow[] = [...STEP_ROWS, INSTRUCTIONS, FULL_8B, SCALING, OPENING, ...SMALL_ROWS];

function findRow(name: string): SpeedRow {
  const row = SPEED_ROWS.find((candidate) => candidate.name === name);
  if (row === undefined)
    throw new InternalError(`--only: expected names out of ${SPEED_ROWS.map((each) => each.name).join(", ")}, found "${name}"`);
  return row;
}

/**
 * Measures rows one after the other, writes their results, and prints them.
 *
 * @param flags settings that differ from the rows' own
 * @param json print an object with the figures, and nothing else; of several rows an object by name
 */
export async function measureRows(names: readonly string[], flags: readonly string[], json: boolean): Promise<void> {
  const rows = names.map(findRow);
  const printed: Record<string, unknown> = {};
  for (const row of rows) {
    const settings = settingsOf(row.defaults, flags);
    const report = speedReport(row, settings, await row.measure(settings));
    await writeReport(report, settings.out);
    const { figures, targets, commit } = report;
    printed[row.name] = {
      ...figures,
      targets: targets.map(({ figure, asked, stretch, met }) => ({ figure, asked, stretch, met })),
      commit,
    };
    if (!json) process.stdout.write(`${toMarkdown(report)}\n`);
  }
  const only = rows.length === 1 ? printed[rows[0]?.name ?? ""] : printed;
  if (json) process.stdout.write(`${JSON.stringify(only, null, 2)}\n`);
}
