// Import rules of src/: layers, doors, and what may touch Node or the heavy runtime.
import { BROWSER, LAYERS, LIGHT } from "./tools/check/layers.mjs";

// Fixtures are what tests import; they do not ship either.
const TESTS = "\\.test\\.ts$|/fixtures/";
const any = (names) => `(${names.join("|")})`;

// Tests sit beside their source and may set up a scene from any layer; they still use the doors.
const layerRules = LAYERS.slice(1).map((layer, i) => ({
  name: `layer-${layer}`,
  comment: `${layer}/ may import only what lies below it`,
  severity: "error",
  from: { path: `^src/${layer}/`, pathNot: TESTS },
  to: { path: `^src/(${LAYERS.slice(0, i + 1).join("|")})/|^src/[^/]+\\.ts$` },
}));

// cli/ is a program, not a part of the library: its door is what runs a command line.
const DOORS = [
  "^src/cli/run\\.ts$",
  "^src/[^/]+\\.ts$",
  "^src/[^/]+/index\\.ts$",
  "^src/core/node/index\\.ts$",
  // The parts of audit/: a command loads the one that it needs, which halves the time to start; explain also runs in a browser.
  "^src/audit/[^/]+/index\\.ts$",
  "^src/audit/explain-files\\.ts$",
  // Importing needs no engine: the command loads it by itself.
  "^src/export/import/index\\.ts$",
  "^src/compute/[^/]+/index\\.ts$",
];

const rules = [
  {
    name: "no-cycles",
    comment: "modules that import each other cannot be read one at a time",
    severity: "error",
    from: { path: "^(src|tools|bench|test)/" },
    // Gradient rules are calculus, and calculus is circular: the gradient of slice is pad, that of pad
    // is slice. The ops call each other only while a graph is built, never while modules load.
    to: { circular: true, via: { pathNot: "^src/compute/graph/" } },
  },
  {
    name: "known-folder",
    comment: "a new folder of src/ needs its place in LAYERS (tools/check/layers.mjs)",
    severity: "error",
    from: {},
    to: { path: "^src/[^/]+/", pathNot: `^src/${any(LAYERS)}/` },
  },
  {
    name: "folder-door",
    comment: "another folder of src/ is imported by its index.ts only (tests: also by its fixtures)",
    severity: "error",
    from: { path: "^src/([^/]+)/" },
    to: { path: "^src/", pathNot: ["^src/$1/", "^src/[^/]+/fixtures/", ...DOORS] },
  },
  {
    name: "folder-door-from-outside",
    comment: "programs, benchmarks and end-to-end tests use the doors like any user (and fixtures, to set up a scene)",
    severity: "error",
    from: { path: "^(src/[^/]+\\.ts$|tools/|bench/|test/)" },
    to: { path: "^src/", pathNot: ["^src/[^/]+/fixtures/", ...DOORS] },
  },
  {
    name: "server-knows-no-training",
    comment: "the server completes; what trains stands beside it",
    severity: "error",
    from: { path: "^src/server/", pathNot: TESTS },
    to: { path: "^src/train/" },
  },
  {
    name: "compute-door",
    comment: "the parts of compute/ see each other by index.ts only",
    severity: "error",
    from: { path: "^src/compute/([^/]+)/" },
    to: {
      path: "^src/compute/",
      pathNot: ["^src/compute/$1/", "^src/compute/fixtures/", "^src/compute/[^/]+/index\\.ts$", "^src/compute/[^/]+\\.ts$"],
    },
  },
  {
    name: "export-door",
    comment: "the parts of export/ see each other by index.ts only, and what they share lies beside them",
    severity: "error",
    from: { path: "^src/export/([^/]+)(?:/|\\.ts$)" },
    to: {
      path: "^src/export/",
      pathNot: [
        "^src/export/$1/",
        "^src/export/fixtures/",
        "^src/export/[^/]+/fixtures/",
        "^src/export/[^/]+/index\\.ts$",
        "^src/export/[^/]+\\.ts$",
      ],
    },
  },
  {
    name: "core-node-door",
    comment: "core/node is a folder of its own with its own door; core itself does not use it",
    severity: "error",
    from: { path: "^src/core/(?!node/)", pathNot: TESTS },
    to: { path: "^src/core/node/" },
  },
  {
    name: "graph-knows-no-backend",
    comment: "the graph is described without knowing who evaluates or lowers it",
    severity: "error",
    from: { path: "^src/compute/graph/", pathNot: TESTS },
    to: { path: "^src/compute/(onnx|ort|reference)/" },
  },
  {
    name: "lowering-knows-no-session",
    comment: "lowering and the reference evaluator run nothing in the runtime",
    severity: "error",
    from: { path: "^src/compute/(onnx|reference)/", pathNot: TESTS },
    to: { path: "^src/compute/ort/" },
  },
  {
    name: "runtime-only-in-ort",
    comment: "onnxruntime is an optional peer: one folder names it",
    severity: "error",
    from: { path: "^src/", pathNot: ["^src/compute/ort/", TESTS] },
    to: { path: "onnxruntime" },
  },
  {
    name: "runtime-only-on-demand",
    comment: "onnxruntime is loaded by a dynamic import, so that the package works without it",
    severity: "error",
    from: { path: "^src/", pathNot: TESTS },
    to: { path: "onnxruntime", dynamic: false, dependencyTypesNot: ["type-only", "type-import"] },
  },
  {
    name: "light-reaches-no-runtime",
    comment: "the half that runs no model must install and start without the runtime",
    severity: "error",
    from: { path: `^src/${any(LIGHT)}/`, pathNot: TESTS },
    to: { path: "onnxruntime", reachable: true },
  },
  {
    name: "browser-no-node",
    comment: "this folder also runs in a browser; what touches Node belongs to core/node, runs, data, cli, server or the heavy half",
    severity: "error",
    from: { path: `^src/${any(BROWSER)}`, pathNot: TESTS },
    to: { dependencyTypes: ["core"] },
  },
  {
    name: "browser-no-core-node",
    comment: "this folder also runs in a browser; it takes a ByteSource instead of opening files",
    severity: "error",
    from: { path: `^src/${any(BROWSER)}`, pathNot: TESTS },
    to: { path: "^src/core/node/" },
  },
  {
    name: "no-test-in-source",
    comment: "what ships does not import tests, tools or benchmarks",
    severity: "error",
    from: { path: "^src/", pathNot: TESTS },
    to: { path: `${TESTS}|^(test|tools|bench)/` },
  },
  {
    name: "no-dev-dependency",
    comment: "what ships imports only what is declared for users",
    severity: "error",
    from: { path: "^src/", pathNot: TESTS },
    to: { dependencyTypes: ["npm-dev", "npm-no-pkg", "npm-unknown"], dependencyTypesNot: ["npm-peer", "type-only"] },
  },
  {
    name: "resolvable",
    comment: "the import leads nowhere",
    severity: "error",
    from: {},
    to: { couldNotResolve: true },
  },
];

/** @type {import("dependency-cruiser").IConfiguration} */
export default {
  forbidden: [...layerRules, ...rules],
  options: {
    doNotFollow: { path: "node_modules" },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    enhancedResolveOptions: { exportsFields: ["exports"], conditionNames: ["import", "types", "node", "default"] },
  },
};
