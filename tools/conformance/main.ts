// npm run conformance -- DIR [--json] [--only SET[/CASE][:CHECK]]…: runs every set of vectors under DIR
// through the package's doors. Exits 0 only if all that was selected is supported and within tolerance.
import { parseArgs } from "node:util";
import { HeirloomError, isHeirloomError } from "../../src/core/index.ts";
import { openFolder } from "../../src/core/node/index.ts";
import { type Result, runCheck } from "./check.ts";
import { allPassed, jsonDocument, resultLines, summaryLines } from "./report.ts";
import { select } from "./selection.ts";
import { findSets } from "./sets/index.ts";

const USAGE = `usage: npm run conformance -- DIR [--json] [--only SET[/CASE][:CHECK]]…

DIR holds sets of vectors in the layout of vectors/ (nf4, llama-tiny, llama-tiny-qlora, arch-variants,
hf-trainer-checkpoint, peft-banners). Checks: values, ledger, logits, gradients, training, merge.`;

function readArguments(argv: readonly string[]): { directory: string; json: boolean; only: readonly string[] } | null {
  try {
    const { values, positionals } = parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        json: { type: "boolean", default: false },
        only: { type: "string", multiple: true, default: [] },
        help: { type: "boolean", short: "h" },
      },
    });
    const [directory, ...rest] = positionals;
    if (values.help === true || directory === undefined || rest.length > 0) return null;
    return { directory, json: values.json, only: values.only };
  } catch (error) {
    // parseArgs says which option it does not know.
    throw new HeirloomError("USAGE", error instanceof Error ? error.message : String(error));
  }
}

async function main(argv: readonly string[]): Promise<number> {
  const wanted = readArguments(argv);
  if (wanted === null) {
    console.error(USAGE);
    return 2;
  }
  await openFolder(wanted.directory);
  const sets = select(await findSets(wanted.directory), wanted.only);
  if (sets.length === 0) throw new HeirloomError("FILE_MISSING", "no set of vectors was found", { where: wanted.directory, hint: USAGE });
  const print = wanted.json ? console.error : console.log;
  const results: Result[] = [];
  for (const { name, checks } of sets) {
    for (const check of checks) {
      const result = await runCheck(name, check);
      results.push(result);
      for (const line of resultLines(result)) print(line);
    }
  }
  for (const line of ["", ...summaryLines(results)]) print(line);
  if (wanted.json) console.log(JSON.stringify(jsonDocument(wanted.directory, results), null, 2));
  return allPassed(results) ? 0 : 1;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!isHeirloomError(error)) throw error;
  console.error(`${error.code}: ${error.message}${error.hint === undefined ? "" : `\n${error.hint}`}`);
  process.exitCode = error.exitCode;
}
