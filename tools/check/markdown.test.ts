import { describe, expect, it } from "vitest";
import { docCommentExamples, findBrokenLinks, findUnmarked } from "./gates/docs.ts";
import { fencedBlocks, headingAnchors, linkTargets } from "./markdown.ts";

const FENCE = "```";

describe("reading Markdown", () => {
  it("finds fenced blocks with line, language, flags and code, indented ones too", () => {
    const text = `text\n${FENCE}ts run file=a.ts\nlet a;\n${FENCE}\n- item\n  ${FENCE}sh\n  ls\n  ${FENCE}\n`;
    expect(fencedBlocks(text)).toEqual([
      { line: 2, language: "ts", flags: ["run", "file=a.ts"], code: "let a;\n" },
      { line: 6, language: "sh", flags: [], code: "ls\n" },
    ]);
  });

  it("finds links and images in prose only, with their lines", () => {
    const text = `[a](one.md)\n${FENCE}\n[no](code.md)\n${FENCE}\n\`[no](span.md)\` ![b](two.png "title")\n[ref]: three.md\n`;
    expect(linkTargets(text)).toEqual([
      { line: 1, target: "one.md" },
      { line: 5, target: "two.png" },
      { line: 6, target: "three.md" },
    ]);
  });

  it("gives headings the anchors that a renderer gives them", () => {
    expect(headingAnchors("# One, two!\n## `train` it\n## `train` it\n")).toEqual(new Set(["one-two", "train-it", "train-it-1"]));
  });
});

describe("the links gate", () => {
  it("names links to a missing file or heading, and lets good ones and addresses pass", () => {
    const documents = new Map([["docs/b.md", "# Here\n"]]);
    const text = "[x](b.md) [x](b.md#here) [x](https://example.org/y) [x](c.md) [x](b.md#there)\n";
    expect(findBrokenLinks({ path: "docs/a.md", text }, documents, (path) => path === "docs/b.md")).toEqual([
      "docs/a.md:1: c.md: no such file",
      "docs/a.md:1: b.md#there: no such heading",
    ]);
  });
});

describe("the examples gate", () => {
  it("asks every block of code whether it is run", () => {
    const blocks = fencedBlocks(`${FENCE}ts\n${FENCE}\n${FENCE}ts run\n${FENCE}\n${FENCE}sh no-run\n${FENCE}\n${FENCE}yaml\n${FENCE}\n`);
    expect(findUnmarked({ path: "a.md", blocks })).toEqual(['a.md:1: mark this block "ts run" or "ts no-run"']);
  });

  it("finds the examples of TSDoc comments", () => {
    const text = `/**\n * Adds.\n *\n * @example\n * ${FENCE}ts run\n * add(1, 2);\n * ${FENCE}\n */\nexport function add() {}\n`;
    const [chapter] = docCommentExamples({ path: "src/a.ts", text });
    expect(chapter?.blocks).toMatchObject([{ language: "ts", flags: ["run"], code: "add(1, 2);\n" }]);
  });
});
