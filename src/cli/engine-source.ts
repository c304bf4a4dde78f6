import type { EngineSource } from "../generate/index.ts";
import { runPath } from "./store-flags.ts";

/**
 * `NAME=DIR`, or a path by itself; a path with `=` in it has a slash before it (`./a=b`). Where a path is asked for, a run's id
 * will do, or how it begins or ends.
 *
 * @throws USAGE if several runs are meant
 */
async function engineSource(text: string, folder: string): Promise<EngineSource> {
  const [, id, path] = /^([^/=]+)=(.+)$/s.exec(text) ?? [];
  return id === undefined || path === undefined
    ? { path: await runPath(folder, text, undefined) }
    : { id, path: await runPath(folder, path, undefined) };
}

/** The model that a command is asked for, and those beside it. */
export function engineSources(texts: readonly string[], folder: string): Promise<EngineSource[]> {
  return Promise.all(texts.map((each) => engineSource(each, folder)));
}

/** A positional argument that names what is to answer. */
export const modelArgument = {
  brief: "Folder of an adapter, a checkpoint, a run or a model; or a run's id, or how it begins or ends",
  placeholder: "path",
  parse: (text: string) => text,
} as const;
