// folders: where adapters, models, checkpoints and runs lie - on disk, as single files, on the hub -
// and what a path turns out to be. Opens, and reads no further than headers.

export { basePathOf } from "./adapter-base.ts";
export type { GgufFile } from "./gguf-file.ts";
export { formatHubAddress, type HubAddress, isHubAddress, parseHubAddress } from "./hub-address.ts";
export { type HubOptions, openHubFolder } from "./hub-folder.ts";
export { type AdapterFolder, locateModel, type ModelFolder, openAdapterFolder, openModelFolder, refuseGguf } from "./model-folder.ts";
export { readModelSpec } from "./model-spec.ts";
export { fileIn, type OpenFolder } from "./open-folder.ts";
export { type OpenPathOptions, OpenPaths, openPath } from "./open-path.ts";
export type { OpenedPath, PathKind } from "./opened-path.ts";
export { type ShardedState, shardedState } from "./sharded-state.ts";
export { openWeights, type WeightsStem, weightsFile } from "./weights.ts";
