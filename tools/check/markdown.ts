// Just enough Markdown for the docs gates: fenced blocks, links, headings.

/** A fenced code block: ```ts run file=x.ts */
export interface Block {
  /** Line of the fence, from 1. */
  readonly line: number;
  readonly language: string;
  /** The words after the language. */
  readonly flags: readonly string[];
  readonly code: string;
}

const FENCE = /^(\s*)(`{3,}|~{3,})(.*)$/;

/** The fenced blocks of a text, in order; `firstLine` is where the text begins in its file. */
export function fencedBlocks(text: string, firstLine = 1): Block[] {
  const blocks: Block[] = [];
  let open: { line: number; indent: string; fence: string; info: string; code: string[] } | null = null;
  for (const [index, line] of text.split("\n").entries()) {
    const match = FENCE.exec(line);
    if (open === null && match !== null) {
      open = { line: firstLine + index, indent: match[1] ?? "", fence: match[2] ?? "", info: (match[3] ?? "").trim(), code: [] };
    } else if (open !== null && match !== null && (match[2] ?? "").startsWith(open.fence) && (match[3] ?? "").trim() === "") {
      const [language = "", ...flags] = open.info.split(/\s+/);
      blocks.push({ line: open.line, language, flags, code: `${open.code.join("\n")}\n` });
      open = null;
    } else if (open !== null) {
      open.code.push(line.startsWith(open.indent) ? line.slice(open.indent.length) : line.trimStart());
    }
  }
  return blocks;
}

/** The text with code taken out, line numbers kept, so that only prose is left. */
function withoutCode(text: string): string {
  let inside: string | null = null;
  const lines = text.split("\n").map((line) => {
    const match = FENCE.exec(line);
    if (inside === null && match !== null) {
      inside = match[2] ?? "";
      return "";
    }
    if (inside === null) return line;
    if (match !== null && (match[2] ?? "").startsWith(inside)) inside = null;
    return "";
  });
  return lines.join("\n").replace(/`[^`\n]*`/g, (code) => " ".repeat(code.length));
}

/** Link and image targets with their lines. */
export function linkTargets(text: string): { line: number; target: string }[] {
  const lines = withoutCode(text).split("\n");
  return lines.flatMap((line, index) => {
    const inline = [...line.matchAll(/\]\(\s*<?([^)\s>]+)>?(?:\s+"[^"]*")?\s*\)/g)].map((match) => match[1] ?? "");
    const reference = /^\s*\[[^\]]+\]:\s*(\S+)/.exec(line)?.[1];
    return [...inline, ...(reference === undefined ? [] : [reference])].map((target) => ({ line: index + 1, target }));
  });
}

/** The anchors that a renderer gives to the headings of a text. */
export function headingAnchors(text: string): Set<string> {
  const anchors = new Set<string>();
  for (const line of withCodeSpans(text)) {
    const heading = /^#{1,6}\s+(.*?)\s*#*$/.exec(line)?.[1];
    if (heading === undefined) continue;
    const base = heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, "")
      .replace(/\s/g, "-");
    let anchor = base;
    for (let i = 1; anchors.has(anchor); i++) anchor = `${base}-${i}`;
    anchors.add(anchor);
  }
  return anchors;
}

function withCodeSpans(text: string): string[] {
  const prose = withoutCode(text).split("\n");
  return text.split("\n").map((line, index) => (prose[index] === "" ? "" : line));
}
