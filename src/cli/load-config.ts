import { readdir, readFile } from "node:fs/promises";
import { isAbsolute, join } from "node:path";
import type { ConfigSources, ConfigText, FlagValue } from "../config/index.ts";
import { HeirloomError, nearestName } from "../core/index.ts";
import { fileError } from "../core/node/index.ts";
import type { ConfigFlags } from "./config-flags.ts";
import { CONFIG_FLAG_KEYS, typedFlag } from "./config-flags.ts";
import { packagePath } from "./package-info.ts";

/** A run file is written by hand; ours have some 3 KB. */
const MAX_CONFIG_BYTES = 1_000_000;

async function readText(path: string, shown: string): Promise<string> {
  const bytes = await readFile(path).catch((error: unknown) => {
    throw fileError(error, shown);
  });
  if (bytes.byteLength > MAX_CONFIG_BYTES)
    throw new HeirloomError("CONFIG_SYNTAX", `expected a configuration of at most ${MAX_CONFIG_BYTES} bytes, found ${bytes.byteLength}`, {
      where: shown,
    });
  return new TextDecoder().decode(bytes);
}

/** Names of the presets that come with the package. */
async function presetNames(): Promise<string[]> {
  const files = await readdir(packagePath("presets"));
  return files
    .filter((file) => file.endsWith(".yaml"))
    .map((file) => file.slice(0, -".yaml".length))
    .sort();
}

/** The text of a preset, by name. @throws CONFIG_INVALID if there is none of that name */
async function readPreset(name: string): Promise<ConfigText> {
  const names = await presetNames();
  if (!names.includes(name)) {
    const nearest = nearestName(name, names);
    throw new HeirloomError("CONFIG_INVALID", `there is no preset "${name}"`, {
      where: "--preset",
      hint: nearest === undefined ? `presets: ${names.join(", ")}` : `did you mean ${nearest}?`,
    });
  }
  return { path: `preset ${name}`, text: await readText(packagePath(`presets/${name}.yaml`), `preset ${name}`) };
}

/** Reads a run file; its path stays as it was given, for messages. */
async function readConfigFile(path: string, folder: string): Promise<ConfigText> {
  const absolute = isAbsolute(path) ? path : join(folder, path);
  return { path: absolute, text: await readText(absolute, path) };
}

/** Flags that are taken as text, whatever they look like; other text is read as a YAML value. */
const TEXT_FLAGS: ReadonlySet<string> = new Set(["base", "output", "format", "tools"]);

async function flagValues(flags: ConfigFlags): Promise<FlagValue[]> {
  const { parseSetFlag, parseValue } = await import("../config/index.ts");
  const named = Object.entries(CONFIG_FLAG_KEYS).flatMap(([name, key]): FlagValue[] => {
    const given = flags[name as keyof typeof CONFIG_FLAG_KEYS];
    if (given === undefined) return [];
    const flag = typedFlag(name, given);
    return [{ key, value: typeof given !== "string" || TEXT_FLAGS.has(name) ? given : parseValue(given, flag), flag }];
  });
  return [...(flags.set ?? []).map(parseSetFlag), ...named];
}

/** Reads everything that the shared configuration flags name. */
export async function configSources(flags: ConfigFlags, folder: string): Promise<ConfigSources> {
  const [values, file, preset] = await Promise.all([
    flagValues(flags),
    flags.config === undefined ? undefined : readConfigFile(flags.config, folder),
    flags.preset === undefined ? undefined : readPreset(flags.preset),
  ]);
  return { flags: values, folder, ...(file === undefined ? {} : { file }), ...(preset === undefined ? {} : { preset }) };
}
