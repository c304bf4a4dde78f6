// Bundles the program into dist/cli: one small file to start with, and what each command needs when it is called.
// The library beside it stays what tsc emits, file by file.
//
//   node --import ./tools/register-typescript.mjs tools/build/main.ts [--out dist/cli]
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";
import { type OutputChunk, type Plugin, rolldown } from "rolldown";
import { InternalError } from "../../src/core/index.ts";
import { licenceText } from "./licences.ts";

/** Packages that the start of a command waits for; all others are loaded where npm put them. */
const BUNDLED = /^(?:zod|yaml|@stricli\/core)(?:\/|$)/;
const isOurs = (id: string): boolean => /^[./]/.test(id) || /^[A-Za-z]:/.test(id);

/** A chunk below this is put to one that nearly the same commands load: with 8,000, `inspect` reads 22 files instead of 14, and takes longer. */
const MIN_CHUNK_BYTES = 25_000;

/**
 * A job's module is its worker's entry, known by its address. In the bundle its code may lie in a chunk with others,
 * so the address is written out: that of the entry, which lies in the same folder as every chunk.
 */
const workerAddresses: Plugin = {
  name: "worker-addresses",
  transform: {
    filter: { id: /-worker\.ts$/ },
    handler(code, id) {
      const entry = basename(id).replace(/\.ts$/, ".js");
      // A worker that is started by its file name, beside the chunk that starts it, needs nothing.
      if (code.split("import.meta.url").length > 2) throw new InternalError(`${id}: expected import.meta.url once, for defineJob`);
      return code.replace("import.meta.url", `new URL("./${entry}", import.meta.url).href`);
    },
  },
};

/** zod's messages in forty languages, which its namespace keeps alive: 200 kB that nothing of ours asks for. */
const englishOnly: Plugin = {
  name: "english-only",
  load: { filter: { id: /[\\/]zod[\\/]v4[\\/]locales[\\/]index\.js$/ }, handler: () => 'export { default as en } from "./en.js";' },
};

/** The worker entries, by name. */
async function workerEntries(): Promise<Record<string, string>> {
  const files = await readdir("src", { recursive: true });
  const workers = files.filter((file) => file.endsWith("-worker.ts") && !file.includes("fixtures"));
  return Object.fromEntries(workers.map((file) => [basename(file, ".ts"), join("src", file)]));
}

async function bundle(): Promise<OutputChunk[]> {
  const build = await rolldown({
    input: { main: "src/cli/main.ts", ...(await workerEntries()) },
    platform: "node",
    external: (id) => !isOurs(id) && !BUNDLED.test(id),
    plugins: [workerAddresses, englishOnly],
    // Doors (index.ts) are imported both ways on purpose: what matters is which file behind them is needed.
    checks: { ineffectiveDynamicImport: false },
    onwarn(warning) {
      throw new InternalError(`rolldown warns: ${warning.message}`);
    },
  });
  const { output } = await build.generate({
    format: "esm",
    // Flat, two folders deep: `../../package.json` and `../../assets` are as far as from the source.
    entryFileNames: "[name].js",
    chunkFileNames: ({ name }) => `${name.split("~")[0] ?? name}-[hash].js`,
    // Functions keep their names, so that a stack can be read without a map.
    minify: { mangle: { toplevel: false }, compress: true, codegen: true },
    codeSplitting: {
      groups: [
        // What every command needs. Not main.ts itself, which waits for the command: chunks that wait for it would never load.
        { name: "start", test: /[\\/]src[\\/](?:core|cli|cli[\\/]terminal)[\\/](?!main\.|load-config\.)[^\\/]+\.ts$/, priority: 2 },
        // What the commands that read headers share: as few files as can be without loading much in vain.
        {
          name: "headers",
          test: /[\\/]src[\\/](?:core[\\/]node|formats|codecs|ledger|adapter|model|folders|runs|audit|cli[\\/]views)[\\/]/,
          entriesAware: true,
          entriesAwareMergeThreshold: MIN_CHUNK_BYTES,
          priority: 1,
        },
      ],
    },
  });
  await build.close();
  return output.filter((file) => file.type === "chunk");
}

const { values } = parseArgs({ options: { out: { type: "string", default: "dist/cli" } } });
// What was built before stands until there is something to put in its place.
const chunks = await bundle();
await rm(values.out, { recursive: true, force: true });
await mkdir(values.out, { recursive: true });
for (const { fileName, code } of chunks) await writeFile(join(values.out, fileName), code);
const manifest = JSON.parse(await readFile("package.json", "utf8")) as { dependencies: Record<string, string> };
const modules = chunks.flatMap(({ moduleIds }) => moduleIds);
await writeFile(join(values.out, "LICENSES.txt"), await licenceText(modules, Object.keys(manifest.dependencies)));
