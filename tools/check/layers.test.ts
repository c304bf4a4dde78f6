import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { localBin, ROOT } from "./gate.ts";
import { runCommand } from "./run-command.ts";

/** A small src/ in which every import rule is broken once, and some things that look wrong are right. */
const FILES: Readonly<Record<string, string>> = {
  "tsconfig.json": "{}",
  "package.json":
    '{ "type": "module", "dependencies": {}, "devDependencies": { "dev-only": "1" }, "peerDependencies": { "onnxruntime-node": "1" } }',
  "node_modules/onnxruntime-node/package.json": '{ "name": "onnxruntime-node", "main": "index.js" }',
  "node_modules/onnxruntime-node/index.js": "",
  "node_modules/dev-only/package.json": '{ "name": "dev-only", "main": "index.js" }',
  "node_modules/dev-only/index.js": "",
  "src/core/index.ts": "export const core = 1;",
  "src/core/node/index.ts": 'import "node:fs"; import "../index.ts";',
  "src/core/up.ts": 'import "./node/index.ts";',
  "src/formats/index.ts": 'import "../core/index.ts"; import "node:fs";',
  "src/formats/inner.ts": 'import "../core/node/index.ts";',
  "src/model/index.ts": 'import "../formats/index.ts"; import "../engine/index.ts";',
  "src/adapter/index.ts": 'import "../formats/inner.ts"; import "./gone.ts";',
  "src/ledger/one.ts": 'import "./two.ts";',
  "src/ledger/two.ts": 'import "./one.ts";',
  "src/data/index.ts": 'import "node:fs"; import "../core/node/index.ts"; import "dev-only";',
  "src/audit/index.ts": 'import "../strange/index.ts";',
  "src/strange/index.ts": "export {};",
  "src/compute/graph/index.ts": 'import "../reference/index.ts";',
  "src/compute/graph/inner.ts": "export {};",
  "src/compute/reference/index.ts": 'import "../ort/index.ts"; import "../graph/inner.ts";',
  "src/compute/ort/index.ts": 'import "onnxruntime-node"; export const load = () => import("onnxruntime-node");',
  "src/engine/index.ts": 'import("onnxruntime-node"); import "./x.test.ts";',
  "src/engine/x.test.ts": 'import "../train/index.ts"; import "node:fs";',
  "src/train/index.ts": 'import "../compute/ort/index.ts";',
  "test/e2e/x.test.ts": 'import "../../src/engine/inner.ts";',
  "src/engine/inner.ts": "export {};",
};

interface Report {
  readonly summary: {
    readonly violations: readonly { readonly from: string; readonly to: string; readonly rule: { readonly name: string } }[];
  };
}

let folder: string;
let violations: string[];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "heirloom-layers-"));
  for (const [path, text] of Object.entries(FILES)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), text);
  }
  const config = join(ROOT, ".dependency-cruiser.mjs");
  const { stdout } = await runCommand(localBin("depcruise"), ["--config", config, "--output-type", "json", "src", "test"], { cwd: folder });
  const report = JSON.parse(stdout) as Report;
  violations = report.summary.violations.map(({ rule, from, to }) => `${rule.name}: ${from} -> ${to}`);
}, 60_000);
afterAll(() => rm(folder, { recursive: true, force: true }));

describe("the layers gate", () => {
  it.each([
    ["an import upwards", "layer-model: src/model/index.ts -> src/engine/index.ts"],
    ["an import past a folder's door", "folder-door: src/adapter/index.ts -> src/formats/inner.ts"],
    ["an import past a door from outside of src/", "folder-door-from-outside: test/e2e/x.test.ts -> src/engine/inner.ts"],
    ["an import past a door within compute/", "compute-door: src/compute/reference/index.ts -> src/compute/graph/inner.ts"],
    ["a cycle", "no-cycles: src/ledger/one.ts -> src/ledger/two.ts"],
    ["a folder without a place in the order", "known-folder: src/audit/index.ts -> src/strange/index.ts"],
    ["core using core/node", "core-node-door: src/core/up.ts -> src/core/node/index.ts"],
    ["the graph knowing a backend", "graph-knows-no-backend: src/compute/graph/index.ts -> src/compute/reference/index.ts"],
    ["the oracle using the runtime", "lowering-knows-no-session: src/compute/reference/index.ts -> src/compute/ort/index.ts"],
    ["the runtime named outside of ort/", "runtime-only-in-ort: src/engine/index.ts -> node_modules/onnxruntime-node/index.js"],
    ["the runtime imported at start", "runtime-only-on-demand: src/compute/ort/index.ts -> node_modules/onnxruntime-node/index.js"],
    ["the light half reaching the runtime", "light-reaches-no-runtime: src/model/index.ts -> node_modules/onnxruntime-node/index.js"],
    ["Node in a browser folder", "browser-no-node: src/formats/index.ts -> fs"],
    ["core/node in a browser folder", "browser-no-core-node: src/formats/inner.ts -> src/core/node/index.ts"],
    ["a test imported by what ships", "no-test-in-source: src/engine/index.ts -> src/engine/x.test.ts"],
    ["a development dependency in what ships", "no-dev-dependency: src/data/index.ts -> node_modules/dev-only/index.js"],
    ["an import that leads nowhere", "resolvable: src/adapter/index.ts -> ./gone.ts"],
  ])("refuses %s", (_, violation) => {
    expect(violations).toContain(violation);
  });

  it("lets data/ and core/node use Node, tests import from any layer, and a folder its own files", () => {
    const wrong = ["src/core/node/", "src/train/", "src/engine/x.test.ts"];
    expect(violations.filter((violation) => wrong.some((path) => violation.includes(`: ${path}`)))).toEqual([]);
    expect(violations.filter((violation) => violation.startsWith("browser") && violation.includes(": src/data/"))).toEqual([]);
  });
});
