import type { FieldReader } from "../field-reader.ts";
import type { BiasSpec, ModelShape, ModuleSpec } from "../types.ts";

/** What is special about one architecture; everything else is common to the family. */
export interface ArchitectureRecord {
  /** `model_type` in config.json. */
  readonly modelType: string;
  /** The class in `architectures` that has a language-model head. */
  readonly className: string;
  /** What the upstream configuration class assumes for a key that the file lacks. */
  readonly defaults: {
    readonly maxPositions: number;
    /** null: as many as query heads. */
    readonly kvHeadCount: number | null;
    /** null: hidden size over heads. */
    readonly headDim: number | null;
    readonly bosTokenId: number | null;
    readonly eosTokenId: number | null;
  };
  readonly qkNorm: boolean;
  biases(fields: FieldReader): BiasSpec;
  /** One entry per layer. */
  slidingWindows(fields: FieldReader, layerCount: number): (number | null)[];
  /** Modules of one layer that own parameters, in PyTorch's registration order. */
  blockModules(spec: ModelShape, layer: number): ModuleSpec[];
}
