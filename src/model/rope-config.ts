import { type FieldReader, isRecord } from "./field-reader.ts";
import type { RopeScaling, RopeSpec } from "./types.ts";

/**
 * Rotary settings in either spelling: transformers 5 has all in `rope_parameters`,
 * 4 had `rope_theta` beside `rope_scaling` (whose type was first called `type`).
 */
export function parseRope(fields: FieldReader, maxPositions: number): RopeSpec {
  const parameters = fields.object("rope_parameters") ?? fields.object("rope_scaling");
  if (Object.values(parameters?.values ?? {}).some(isRecord)) {
    fields.unsupported("a rotation that differs by layer type", { ropeParameters: parameters?.values });
  }
  const thetaHolder = parameters?.values["rope_theta"] === undefined ? fields : parameters;
  const theta = thetaHolder.positive("rope_theta", 10000);
  for (const holder of parameters === null ? [fields] : [fields, parameters]) {
    const partial = holder.positive("partial_rotary_factor", 1);
    if (partial !== 1) fields.unsupported(`a partial_rotary_factor of ${partial}`, { partialRotaryFactor: partial });
  }
  return { theta, scaling: parameters === null ? { kind: "none" } : parseScaling(fields, parameters, maxPositions) };
}

function parseScaling(fields: FieldReader, parameters: FieldReader, maxPositions: number): RopeScaling {
  const kind = parameters.optionalString("rope_type") ?? parameters.optionalString("type") ?? "default";
  switch (kind) {
    case "default":
      return { kind: "none" };
    case "linear":
      return { kind: "linear", factor: parameters.positive("factor", null) };
    case "llama3": {
      const fallback = fields.positive("original_max_position_embeddings", maxPositions);
      const scaling = {
        kind: "llama3" as const,
        factor: parameters.positive("factor", null),
        lowFrequencyFactor: parameters.positive("low_freq_factor", null),
        highFrequencyFactor: parameters.positive("high_freq_factor", null),
        originalMaxPositions: parameters.positive("original_max_position_embeddings", fallback),
      };
      if (scaling.highFrequencyFactor <= scaling.lowFrequencyFactor && parameters.values["high_freq_factor"] !== undefined) {
        parameters.invalid(
          "high_freq_factor",
          `more than low_freq_factor (${scaling.lowFrequencyFactor})`,
          `${scaling.highFrequencyFactor}`,
        );
      }
      return scaling;
    }
    default:
      fields.unsupported(`rotary scaling of type "${kind}"`, { ropeType: kind });
      return { kind: "none" };
  }
}
