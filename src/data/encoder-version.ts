import { createRequire } from "node:module";

/**
 * Changes whenever the same rows would become other tokens or labels, or the cache another layout:
 * `encoder-version.test.ts` fails then.
 */
const ENCODER_VERSION = 1;
/** What makes tokens besides this package's own code. */
const MAKES_TOKENS = [
  "@huggingface/tokenizers",
  "@huggingface/jinja",
  "csv-parse",
  "hyparquet",
  "hyparquet-compressors",
  "zstddec",
] as const;

interface Package {
  readonly version: string;
  readonly dependencies: Readonly<Record<string, string>>;
}

/** The code that tokens were made by: tokens of other code are made again. The versions of dependencies are exact. */
export function encoderIdentity({ version, dependencies }: Package = ownPackage()): readonly string[] {
  return [`${ENCODER_VERSION}`, version, ...MAKES_TOKENS.map((name) => `${name}@${dependencies[name]}`)];
}

/** From `dist/<folder>/` as from here, it is two folders up: the bundle keeps that depth. */
function ownPackage(): Package {
  return createRequire(import.meta.url)("../../package.json") as Package;
}
