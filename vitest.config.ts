import { defineConfig, type TestProjectInlineConfiguration } from "vitest/config";

const everywhere = ["src/**/*", "tools/**/*", "bench/**/*", "test/**/*"];
const named = (suffix: string) => everywhere.map((folder) => `${folder}${suffix}`);

/** The kinds of tests are told apart by file name; `npm test` runs the first two, the check runs all. */
function project(name: string, include: string[], exclude: string[], testTimeout: number, isolate = false): TestProjectInlineConfiguration {
  return {
    test: {
      name,
      include,
      exclude,
      testTimeout,
      hookTimeout: testTimeout,
      // Tests leave nothing in the user's cache.
      env: { HEIRLOOM_CACHE: "off" },
      // Processes, not threads: native addons and worker threads of our own are under test.
      pool: "forks",
      // Files of a worker share their modules: 37 instead of 105 s for unit and parity. No module here keeps state between tests.
      isolate,
      // Worker threads inherit this, so that a worker's entry may be a .ts file.
      execArgv: ["--import", new URL("./tools/register-typescript.mjs", import.meta.url).href],
    },
  };
}

/** Its tests import dist/, which Node loads as it is. */
function builtProject(name: string, include: string[], testTimeout: number): TestProjectInlineConfiguration {
  const { test } = project(name, include, [], testTimeout);
  return { test: { ...test, server: { deps: { external: [/\/dist\//] } } } };
}

const endToEnd = ["test/e2e/**/*.test.ts"];
/** They need the real model in its cache (npm run real-model), and are skipped without it. */
const real = named(".real.test.ts");
const inBrowser = ["test/browser/**/*.test.ts"];
/** Files that replace whole modules need their own: in a shared registry the real one may be there already. */
const mocked = named(".mocked.test.ts");
const parity = named(".parity.test.ts");
const property = named(".property.test.ts");
/** They run whole commands and engines: seconds each, which `npm test` leaves to the check. */
const slow = named(".slow.test.ts");

export default defineConfig({
  test: {
    // Two cores are what CI has; more processes only steal from the engine's own threads.
    maxWorkers: 2,
    projects: [
      project("unit", named(".test.ts"), [...mocked, ...parity, ...property, ...real, ...slow, ...endToEnd, ...inBrowser], 20_000),
      project("mocked", mocked, endToEnd, 20_000, true),
      project("parity", parity, endToEnd, 60_000),
      project("property", property, endToEnd, 300_000),
      project("slow", slow, endToEnd, 120_000, true),
      project("real", real, [], 600_000),
      project("e2e", endToEnd, [], 300_000),
      builtProject("browser", inBrowser, 60_000),
    ],
  },
});
