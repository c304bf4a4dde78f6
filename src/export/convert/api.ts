/** Formats of adapters that are converted between. */
export const ADAPTER_FORMATS = ["mlx", "peft"] as const;
/** One of {@link ADAPTER_FORMATS}. */
export type AdapterFormat = (typeof ADAPTER_FORMATS)[number];

/** What to convert, and into what. */
export interface ConvertRequest {
  /** Folder of an adapter: PEFT's (also a checkpoint or a run) to mlx-lm's, or mlx-lm's to PEFT's. */
  readonly path: string;
  readonly to: AdapterFormat;
  /** Folder to make. */
  readonly output: string;
  /** Base model, of which only config.json is read; needed for mlx-lm's form if the adapter does not name one that is there. */
  readonly base?: string;
  readonly signal?: AbortSignal;
}

/** What became of it. */
export interface ConvertResult {
  readonly output: string;
  readonly adapter: string;
  readonly to: AdapterFormat;
  readonly rank: number;
  /** The factor on B·A. */
  readonly scale: number;
  readonly modules: number;
  readonly layers: number;
  readonly files: readonly string[];
  readonly notes: readonly string[];
}
