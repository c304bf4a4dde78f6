import { createRequire } from "node:module";

/** Version of this package. From `dist/<folder>/` as from here, it is two folders up: the bundle keeps that depth. */
export const VERSION: string = (createRequire(import.meta.url)("../../package.json") as { version: string }).version;
