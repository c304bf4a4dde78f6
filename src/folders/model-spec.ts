import { HeirloomError } from "../core/index.ts";
import { type ModelSpec, parseModelConfig } from "../model/index.ts";
import { openPath } from "./open-path.ts";

/**
 * What a base model is, by its config.json: `path` is its folder, the file itself, or either on the hub.
 * @throws FILE_MISSING, FILE_UNREADABLE, JSON_INVALID, LFS_POINTER, MODEL_CONFIG_INVALID, ARCHITECTURE_UNSUPPORTED, NETWORK
 */
export async function readModelSpec(path: string): Promise<ModelSpec> {
  const opened = await openPath(path, { asBase: true });
  try {
    const { configFile } = opened;
    if (opened.holds !== "model" || configFile === null) {
      throw new HeirloomError("FILE_MISSING", "expected a model's config.json, found none", {
        where: path,
        hint: "name the folder of the base model, or its config.json",
      });
    }
    return parseModelConfig(await opened.json(configFile), opened.where(configFile));
  } finally {
    await opened.close();
  }
}
