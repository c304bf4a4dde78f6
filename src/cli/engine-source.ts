import type { EngineSource } from "../generate/index.ts";
import { pathFrom } from "./paths.ts";

/** `NAME=DIR`, or a path by itself; a path with `=` in it has a slash before it (`./a=b`). */
export function engineSource(text: string, folder: string): EngineSource {
  const [, id, path] = /^([^/=]+)=(.+)$/s.exec(text) ?? [];
  return id === undefined || path === undefined ? { path: pathFrom(folder, text) } : { id, path: pathFrom(folder, path) };
}
