import type { FieldReader } from "../field-reader.ts";

/**
 * Sliding windows of the Qwen configurations: `layer_types` says which layers
 * have one; without it those from `max_window_layers` on do.
 */
export function qwenWindows(fields: FieldReader, layerCount: number): (number | null)[] {
  const declared = fields.optionalCount("sliding_window", 4096);
  const window = fields.flag("use_sliding_window", false) ? declared : null;
  const firstWindowed = fields.wholeNumber("max_window_layers", 28);
  const types = fields.optionalStrings("layer_types");
  if (types === null) return Array.from({ length: layerCount }, (_, layer) => (layer >= firstWindowed ? window : null));
  if (types.length !== layerCount) {
    fields.invalid("layer_types", `${layerCount} entries, one per layer`, `${types.length}`);
    return new Array<null>(layerCount).fill(null);
  }
  return types.map((type, layer) => {
    if (type === "full_attention") return null;
    if (type !== "sliding_attention") fields.unsupported(`attention of type "${type}" in layer ${layer}`, { layerType: type });
    else if (window === null)
      fields.invalid("layer_types", `no sliding layer, as no sliding window is in use`, `"${type}" in layer ${layer}`);
    return window;
  });
}
