// The half of the package that is declared free of Node, as built, in Chromium. Each scene is played in the page
// and in Node, and the answers must be equal. The page reaches nothing but a server on the loopback interface.
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { openFile } from "../../src/core/node/index.ts";
import { launchChromium } from "./fixtures/chromium.ts";
import { browserDoors, importMap } from "./fixtures/import-map.ts";
import { BANNER, type CaseFiles, writeOriginalCase } from "./fixtures/original-case.ts";
import type { PageFunctions } from "./fixtures/page.ts";
import { type Answer, type PageServer, pageHtml, startPageServer } from "./fixtures/page-server.ts";
import { type Library, SCENES, type Stage } from "./fixtures/scenes.ts";

declare const functions: PageFunctions;

const SMALL = "vectors/peft-banners/layers_to_transform";
/** What the header of the 2.6 GB file may cost: its 60 kB, read once. */
const MAX_HEADER_READ = 200_000;

let folder: string;
let doors: Record<string, string>;
let library: Library;
let originalCase: CaseFiles;
let smallCase: CaseFiles & { readonly banner: string };
let server: PageServer;
let browser: Browser;
let page: Page;
/** Everything that a healthy page does not do: errors in its console, uncaught ones, requests to elsewhere. */
let complaints: string[];

async function openPage(path: string): Promise<Page> {
  const opened = await browser.newPage();
  complaints = [];
  opened.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(`console: ${message.text()}`);
  });
  opened.on("pageerror", (error) => complaints.push(`uncaught: ${error.message}`));
  opened.on("request", (request) => {
    if (new URL(request.url()).origin !== server.origin && !request.url().startsWith("data:")) complaints.push(`outside: ${request.url()}`);
  });
  await opened.goto(server.origin + path);
  return opened;
}

type Scene = keyof typeof SCENES;
type Weights = "a file that a user chose" | "a server";

/** Plays a scene in the page, which reads the weights from there. */
async function inPage(scene: Scene, { baseConfig, adapterConfig, weights }: CaseFiles, banner: string, from: Weights): Promise<unknown> {
  if (from === "a file that a user chose") await page.setInputFiles("input", weights);
  const url = from === "a server" ? `${server.origin}/${weights === smallCase.weights ? "small" : "original"}` : null;
  const request = { scene, baseConfig, adapterConfig, banner, weights: { name: "weights", url } };
  return JSON.parse(await page.evaluate((asked) => functions.play(asked), request)) as unknown;
}

/** Plays it in Node, from the disk. */
async function inNode(scene: Scene, { baseConfig, adapterConfig, weights }: CaseFiles, banner: string): Promise<unknown> {
  const file = await openFile(weights);
  const source = { name: "weights", size: file.size, read: (start: number, end: number) => file.read(start, end) };
  const stage: Stage = { baseConfig, adapterConfig, banner, weights: source };
  try {
    return JSON.parse(JSON.stringify(await SCENES[scene](library, stage))) as unknown;
  } finally {
    await file.close();
  }
}

const answersFor = (path: string): Answer[] => server.answers.filter((answer) => answer.path === path);

beforeAll(async () => {
  browser = await launchChromium();
  folder = await mkdtemp(join(tmpdir(), "heirloom-browser-"));
  doors = await browserDoors();
  const modules = Object.keys(doors).map(async (name) => [name, await import(pathToFileURL(`dist/${name}/index.js`).href)] as const);
  library = Object.fromEntries(await Promise.all(modules)) as unknown as Library;
  originalCase = await writeOriginalCase(library, folder);
  smallCase = {
    baseConfig: await readFile("vectors/peft-banners/base/config.json", "utf8"),
    adapterConfig: await readFile(`${SMALL}/adapter/adapter_config.json`, "utf8"),
    weights: `${SMALL}/adapter/adapter_model.safetensors`,
    banner: (JSON.parse(await readFile(`${SMALL}/record.json`, "utf8")) as { fresh: string }).fresh,
  };
  const files = new Map([
    ["/small", smallCase.weights],
    ["/original", originalCase.weights],
  ]);
  const map = await importMap();
  const pages = new Map([
    ["/", pageHtml(map, doors)],
    ["/empty", pageHtml(map, {})],
  ]);
  server = await startPageServer(pages, files);
  page = await openPage("/");
});

afterAll(async () => {
  await browser?.close();
  await server?.close();
  if (folder !== undefined) await rm(folder, { recursive: true });
});

describe("the built package in Chromium", () => {
  afterEach(() => {
    // Emptied, so that one test's complaint is not the next one's.
    expect(complaints.splice(0)).toEqual([]);
    expect(server.answers.filter(({ status }) => status >= 400)).toEqual([]);
  });

  it("loads every subpath and folder that is declared free of Node", async () => {
    const subpaths = Object.values(doors).filter((specifier) => specifier.startsWith("heirloom/"));
    expect(subpaths).toEqual(
      ["adapter", "audit/explain", "codecs", "config", "core", "formats", "kernels", "ledger", "model"].map((name) => `heirloom/${name}`),
    );
    expect(complaints).toEqual([]);
    expect(await page.evaluate(() => functions.doors)).toEqual(Object.keys(doors));
  });

  it.each<Weights>(["a file that a user chose", "a server"])("reads an adapter from %s as Node does from the disk", async (from) => {
    const answer = await inPage("adapterFiles", smallCase, "", from);
    expect(answer).toStrictEqual(await inNode("adapterFiles", smallCase, ""));
    expect(answer).toMatchObject({ banners: { fresh: smallCase.banner }, differences: [] });
  });

  it.each<Weights>(["a file that a user chose", "a server"])("reads only the header of 2.6 GB from %s", async (from) => {
    const answersBefore = answersFor("/original").length;
    const answer = (await inPage("adapterFiles", originalCase, "", from)) as { header: { bytesRead: number } };
    expect(answer).toStrictEqual(await inNode("adapterFiles", originalCase, ""));
    expect(answer).toMatchObject({ differences: [], counts: { trainable: 1_218_445_312, all: 9_248_706_560 } });
    expect(answer.header.bytesRead).toBeLessThan(MAX_HEADER_READ);
    const parts = answersFor("/original")
      .slice(answersBefore)
      .filter(({ bytes }) => bytes > 0);
    expect(parts.every(({ status }) => status === 206)).toBe(true);
    expect(parts.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(from === "a server" ? answer.header.bytesRead : 0);
  });

  it("explains the original case from one line and the base's configuration as Node does", async () => {
    const answer = await inPage("banner", originalCase, BANNER, "a server");
    expect(answer).toStrictEqual(await inNode("banner", originalCase, BANNER));
    expect(answer).toMatchObject({
      exactCount: 117,
      hypotheses: { 0: { rank: 64, fullCopies: [{ state: "frozen" }, { state: "frozen" }] } },
      verdict: expect.stringContaining("No exact solution has rank 4, 8, 16 or 32") as unknown,
    });
  });

  it("lets the adapter that a user chose decide the original case as Node does", async () => {
    const answer = await inPage("bannerOfAdapter", originalCase, BANNER, "a file that a user chose");
    expect(answer).toStrictEqual(await inNode("bannerOfAdapter", originalCase, BANNER));
    expect(answer).toMatchObject({ adapter: { ranks: [64], states: [{ trained: ["LoRA"], frozen: ["embed_tokens", "lm_head"] }] } });
  });

  it.each<Scene>(["otherFolders", "refusal"])("gives Node's answer in the scene %s", async (scene) => {
    const answer = await inPage(scene, smallCase, "", "a file that a user chose");
    expect(answer).not.toBeNull();
    expect(answer).toStrictEqual(await inNode(scene, smallCase, ""));
  });
});

describe("the watch over the page", () => {
  it("notices a module that needs Node, an error and a request to elsewhere", async () => {
    page = await openPage("/empty");
    const reason = await page.evaluate("import('heirloom/core/node').then(() => 'loaded', String)");
    expect(reason).toContain("TypeError");
    // An address that no machine has (RFC 5737).
    await page.evaluate("fetch('http://192.0.2.1/').catch(() => console.error('no answer'))");
    expect(complaints).toContain("outside: http://192.0.2.1/");
    expect(complaints).toContain("console: no answer");
  });
});
