// Looks at files as people have them, and writes what heirloom says of each into docs/gallery/wild-files.md.
//
//   node --import ./tools/register-typescript.mjs tools/wild/main.ts FOLDER [--made FOLDER]
//
// FOLDER holds KIND/NUMBER/, each with one file and a source.json that names its repository and path; it is no part of this
// repository. --made names what tools/wild/make_other_forms.py wrote.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type InspectResult, inspectPath, verifyPath } from "../../src/audit/index.ts";
import { InternalError, isHeirloomError } from "../../src/core/index.ts";
import { writeTextAtomic } from "../../src/core/node/index.ts";

const PAGE = new URL("../../docs/gallery/wild-files.md", import.meta.url).pathname;

const foldersIn = (path: string): string[] =>
  readdirSync(path, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
    .sort();

/** For a table's cell; a path of somebody's machine is cut to its last part. */
const cell = (text: string): string => text.replace(/(?<![\w.:/])\/(?:[^\s/,"]+\/)+/g, "…/").replace(/[|*<>]/g, "\\$&");

function adapterText({ adapter, provenance, tensors }: InspectResult): string {
  if (adapter === null) return `${tensors.length} tensors of LoRA without a configuration`;
  const { variant, rank } = adapter;
  const of = provenance.baseModel === null || provenance.baseModel === "" ? "a base that it does not name" : provenance.baseModel;
  const kind = rank === null ? `${variant.toUpperCase()} adapter` : `${variant === "lora" ? "LoRA" : variant} adapter of rank ${rank}`;
  const version = provenance.peftVersion === null ? "" : `, PEFT ${provenance.peftVersion}`;
  return `${kind} for ${of}${version}${tensors.length === 0 ? "" : `; ${tensors.length} tensors`}`;
}

/** What inspect found, in a sentence. */
function foundText(result: InspectResult): string {
  const { checkpoint, architecture, adapter, counts, tensors, kind } = result;
  const parts: string[] = [];
  if (adapter !== null) parts.push(adapterText(result));
  else if (architecture !== null)
    parts.push(`${architecture}${counts.all === 0 ? "" : `, ${counts.all.toLocaleString("en-US")} parameters`}`);
  else if (tensors.length > 0) parts.push(`weights by themselves: ${tensors.length} tensors`);
  if (checkpoint !== null) {
    const { step, maxSteps, lastLearningRates } = checkpoint;
    parts.push(
      step === null
        ? `part of a trainer's state (rates now: ${lastLearningRates?.join(", ") ?? "unknown"})`
        : `update ${step} of ${maxSteps ?? "?"}`,
    );
  }
  return parts.join("; ") || kind;
}

/** What a failed look said: its code, what was found, what to do. */
function refusalText(error: unknown): string {
  if (!isHeirloomError(error) || error.code === "INTERNAL") throw error;
  const [first] = error.problems;
  return `\`${error.code}\`: ${cell(first.message)}${error.hint === undefined ? "" : ` → ${cell(error.hint)}`}`;
}

interface Look {
  readonly text: string;
  readonly isRead: boolean;
}

async function lookAt(path: string): Promise<Look> {
  try {
    const result = await inspectPath(path);
    const notes = result.notes.length === 0 ? "" : ` (${cell(result.notes.join("; "))})`;
    return { text: `${cell(foundText(result))}${notes}`, isRead: true };
  } catch (error) {
    return { text: refusalText(error), isRead: false };
  }
}

/** `ok`, the rules that found something, or the code of the refusal. */
async function judge(path: string): Promise<string> {
  try {
    const { findings } = await verifyPath(path);
    return findings.length === 0 ? "nothing found" : [...new Set(findings.map(({ rule }) => rule))].join(", ");
  } catch (error) {
    if (!isHeirloomError(error) || error.code === "INTERNAL") throw error;
    return error.code;
  }
}

interface Row extends Look {
  readonly kind: string;
  readonly name: string;
  readonly verdict: string;
}

async function wildRows(root: string): Promise<Row[]> {
  const rows: Row[] = [];
  for (const kind of foldersIn(root)) {
    for (const number of foldersIn(join(root, kind))) {
      const folder = join(root, kind, number);
      const { repo, path } = JSON.parse(readFileSync(join(folder, "source.json"), "utf8")) as { repo: string; path: string };
      for (const file of readdirSync(folder).filter((name) => name !== "source.json")) {
        const look = await lookAt(join(folder, file));
        rows.push({ kind, name: `${repo}: ${path}`, ...look, verdict: await judge(join(folder, file)) });
      }
    }
  }
  return rows;
}

async function madeRows(root: string): Promise<Row[]> {
  const rows: Row[] = [];
  for (const name of foldersIn(root)) {
    const files = readdirSync(join(root, name)).filter((file) => !/^(?:README\.md|generation_config\.json)$/.test(file));
    rows.push({ kind: files.join(", "), name, ...(await lookAt(join(root, name))), verdict: await judge(join(root, name)) });
  }
  return rows;
}

function table(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  return [heads, heads.map(() => "---"), ...rows].map((row) => `| ${row.join(" | ")} |`).join("\n");
}

function page(wild: readonly Row[], made: readonly Row[]): string {
  const read = wild.filter(({ isRead }) => isRead).length;
  const judged = wild.filter(({ verdict }) => !/^[A-Z_]+$/.test(verdict)).length;
  return `# Files as people have them

<!-- Written by tools/wild/main.ts. -->

${wild.length} files from public repositories, each looked at by itself with \`heirloom inspect FILE\`: ${read} are read, ${wild.length - read} are refused with what
they are and what to do. None of them is repeated here. \`verify\` needs weights: of these files it judges ${judged}, and refuses the others.

${table(
  ["kind", "repository: file", "what heirloom says"],
  wild.map(({ kind, name, text }) => [kind, cell(name), text]),
)}

## Other forms

Folders that \`tools/wild/make_other_forms.py\` makes with PEFT, torch and safetensors: rarer adapters, other tools' files, older formats and
damaged ones, with \`heirloom inspect FOLDER\` and the rules of \`heirloom verify FOLDER\` that found something.

${table(
  ["folder", "its files", "what inspect says", "verify"],
  made.map(({ kind, name, text, verdict }) => [name, cell(kind), text, /^[A-Z_]+$/.test(verdict) ? `\`${verdict}\`` : verdict]),
)}
`;
}

const { positionals, values } = parseArgs({ allowPositionals: true, options: { made: { type: "string" } } });
const [root] = positionals;
if (root === undefined || values.made === undefined) throw new InternalError("expected FOLDER --made FOLDER");
await writeTextAtomic(PAGE, page(await wildRows(root), await madeRows(values.made)));
