import { adapterForEngine, resolveForEngine } from "../../adapter/index.ts";
import { isHeirloomError } from "../../core/index.ts";
import type { ModelSpec } from "../../model/index.ts";
import type { AdapterSource } from "../adapter-source.ts";

/** Why the engine does not run an adapter, so that its logits cannot be compared; null if it does. */
export function whyNotRun(spec: ModelSpec, { config, spec: adapter }: AdapterSource): string | null {
  try {
    adapterForEngine(config);
    resolveForEngine(spec, adapter);
    return null;
  } catch (error) {
    if (!isHeirloomError(error) || error.code !== "ADAPTER_UNSUPPORTED") throw error;
    return error.message;
  }
}
