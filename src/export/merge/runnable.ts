import { adapterForEngine, resolveForEngine } from "../../adapter/index.ts";
import { HeirloomError, isHeirloomError } from "../../core/index.ts";
import type { ModelSpec } from "../../model/index.ts";
import type { AdapterSource } from "../adapter-source.ts";

/** Refuses an adapter that can be merged but not run, so that nothing could be compared. @throws ADAPTER_UNSUPPORTED */
export function requireRunnable(spec: ModelSpec, { config, spec: adapter }: AdapterSource): void {
  try {
    adapterForEngine(config);
    resolveForEngine(spec, adapter);
  } catch (error) {
    if (!isHeirloomError(error) || error.code !== "ADAPTER_UNSUPPORTED") throw error;
    throw new HeirloomError(
      "ADAPTER_UNSUPPORTED",
      `the merged model cannot be compared with the adapter, which the engine does not run: ${error.message}`,
      {
        hint: "it can be merged all the same, without the comparison: --no-check",
        details: error.details,
        cause: error,
      },
    );
  }
}
