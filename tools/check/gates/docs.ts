// Documents: links lead somewhere, and every example is run as a user would run it.
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, symlink, writeFile } from "node:fs/promises";
import { dirname, join, normalize } from "node:path";
import { pathToFileURL } from "node:url";
import ts from "typescript";
import { fullFolder, temporaryFolder } from "../consumer.ts";
import { fromFindings, type Gate, type GateResult, localBin, ROOT } from "../gate.ts";
import { type Block, fencedBlocks, headingAnchors, linkTargets } from "../markdown.ts";
import { runCommand } from "../run-command.ts";
import { isTest, type SourceFile, sourceFiles } from "../source-files.ts";

const isMarkdown = (path: string): boolean => path.endsWith(".md");

/** Links of one document that lead nowhere. Addresses outside are not visited: the check needs no network for them. */
export function findBrokenLinks(
  { path, text }: SourceFile,
  documents: ReadonlyMap<string, string>,
  exists: (path: string) => boolean,
): string[] {
  return linkTargets(text).flatMap(({ line, target }) => {
    if (/^(https?|mailto):/.test(target)) return [];
    const [file = "", anchor] = decodeURI(target).split("#");
    const destination = file === "" ? path : normalize(join(dirname(path), file));
    if (!exists(destination)) return [`${path}:${line}: ${target}: no such file`];
    const document = documents.get(destination);
    if (anchor === undefined || document === undefined || headingAnchors(document).has(anchor)) return [];
    return [`${path}:${line}: ${target}: no such heading`];
  });
}

async function checkLinks(): Promise<GateResult> {
  const files = await sourceFiles(isMarkdown);
  const documents = new Map(files.map((file) => [file.path, file.text]));
  const findings = files.flatMap((file) => findBrokenLinks(file, documents, (path) => existsSync(join(ROOT, path))));
  return fromFindings(findings, `${files.length} documents`);
}

/** Blocks that share a folder: those of one document, or of one TSDoc comment. */
interface Chapter {
  readonly path: string;
  readonly blocks: readonly Block[];
}

/** The `@example` blocks of a source file, a chapter each. */
export function docCommentExamples({ path, text }: SourceFile): Chapter[] {
  const file = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
  const chapters: Chapter[] = [];
  const seen = new Set<ts.Node>();
  const visit = (node: ts.Node): void => {
    for (const tag of ts.getJSDocTags(node).filter((tag) => tag.tagName.text === "example" && !seen.has(tag))) {
      seen.add(tag);
      const firstLine = file.getLineAndCharacterOfPosition(tag.getStart()).line + 1;
      chapters.push({ path, blocks: fencedBlocks(ts.getTextOfJSDocComment(tag.comment) ?? "", firstLine) });
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  return chapters;
}

/** Examples that do not say whether they are run: then nobody knows that they are not. */
export function findUnmarked({ path, blocks }: Chapter): string[] {
  return blocks
    .filter(
      (block) => ["ts", "js", "sh", "bash"].includes(block.language) && !block.flags.includes("run") && !block.flags.includes("no-run"),
    )
    .map((block) => `${path}:${block.line}: mark this block "${block.language} run" or "${block.language} no-run"`);
}

const flagValue = (block: Block, name: string): string | undefined =>
  block.flags.find((flag) => flag.startsWith(`${name}=`))?.slice(name.length + 1);

/** Runs the blocks of a chapter one after the other in a folder where the package is installed. */
async function runChapter({ path, blocks }: Chapter, folder: string): Promise<string[]> {
  const findings: string[] = [];
  for (const block of blocks) {
    const name = flagValue(block, "file") ?? `example-${block.line}.ts`;
    const isCode = block.language === "ts" && block.flags.includes("run");
    if (isCode || flagValue(block, "file") !== undefined) {
      await mkdir(dirname(join(folder, name)), { recursive: true });
      await writeFile(join(folder, name), block.code);
    }
    if (!block.flags.includes("run")) continue;
    const register = pathToFileURL(join(ROOT, "tools/register-typescript.mjs")).href;
    const [file, args] = isCode ? [process.execPath, ["--import", register, name]] : ["bash", ["-euo", "pipefail", "-c", block.code]];
    const result = await runCommand(file, args, {
      cwd: folder,
      env: { PATH: `${join(folder, "node_modules/.bin")}:${process.env["PATH"] ?? ""}` },
    });
    const expected = Number(flagValue(block, "exit") ?? 0);
    if (result.status !== expected)
      findings.push(`${path}:${block.line}: exit ${result.status}, expected ${expected}\n${result.output.slice(-2000)}`);
  }
  return findings;
}

/** Type-checks the TypeScript of all chapters at once, against the packed types. */
async function checkTypes(folders: readonly string[], names: readonly string[]): Promise<string[]> {
  if (names.length === 0) return [];
  const root = await temporaryFolder();
  const compilerOptions = {
    target: "ES2023",
    module: "NodeNext",
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    types: ["node"],
    typeRoots: [join(ROOT, "node_modules/@types")],
  };
  const project = join(root, "tsconfig.json");
  await writeFile(project, JSON.stringify({ compilerOptions, files: names }));
  const { status, output } = await runCommand(localBin("tsc"), ["-p", project], { cwd: root });
  return status === 0 ? [] : [`${folders.length} chapters, type errors:\n${output}`];
}

async function runExamples(): Promise<GateResult> {
  const documents = await sourceFiles((path) => isMarkdown(path) && /^(docs\/|[^/]+$)/.test(path));
  const sources = await sourceFiles((path) => /^src\/.*\.ts$/.test(path) && !isTest(path));
  const chapters = [...documents.map(({ path, text }) => ({ path, blocks: fencedBlocks(text) })), ...sources.flatMap(docCommentExamples)];
  const findings = chapters.flatMap(findUnmarked);
  const runnable = chapters.filter((chapter) => chapter.blocks.some((block) => block.flags.includes("run")));
  const root = await temporaryFolder();
  const folders: string[] = [];
  const scripts: string[] = [];
  for (const chapter of runnable) {
    const folder = await mkdtemp(join(root, "docs-"));
    folders.push(folder);
    await writeFile(join(folder, "package.json"), JSON.stringify({ private: true, type: "module" }));
    await symlink(join(await fullFolder(), "node_modules"), join(folder, "node_modules"));
    findings.push(...(await runChapter(chapter, folder)));
    for (const block of chapter.blocks)
      if (block.language === "ts" && block.flags.includes("run")) scripts.push(join(folder, `example-${block.line}.ts`));
  }
  findings.push(...(await checkTypes(folders, scripts)));
  const count = runnable.flatMap((chapter) => chapter.blocks.filter((block) => block.flags.includes("run"))).length;
  return fromFindings(findings, `${count} examples in ${runnable.length} places`);
}

export const docsGates: { readonly links: Gate; readonly examples: Gate } = {
  links: { name: "links", says: "links between documents lead somewhere", run: checkLinks },
  examples: {
    name: "examples",
    says: "the examples of documents and TSDoc run against the packed file",
    needs: ["footprint"],
    alone: true,
    run: runExamples,
  },
};
