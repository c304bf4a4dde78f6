/** What an update's time can be put down to. */
export type ProfileShareName =
  | "base products"
  | "LoRA products"
  | "attention"
  | "head"
  | "elementwise"
  | "copies"
  | "dequantization"
  | "gradients"
  | "optimizer"
  | "data"
  | "embedding"
  | "runtime"
  | "rest";

/** Where the time of a run's updates went; kept with what came of the run. */
export interface ProfileSummary {
  /** Path of the trace. */
  readonly file: string;
  readonly events: number;
  /** Events that the file has no room for; the sums here are over all. */
  readonly eventsLeftOut: number;
  /** Why the trace is incomplete; null if it is not. */
  readonly fault: string | null;
  /** Updates that the sums are over; the first of the process, which compiles and touches memory, is not among them if there are others. */
  readonly updates: number;
  readonly microSteps: number;
  readonly secondsPerUpdate: number;
  /** Of the first update; null if it is in the sums. */
  readonly firstUpdateSeconds: number | null;
  /** Seconds per update, the largest first; together they are `secondsPerUpdate`. */
  readonly shares: readonly { readonly name: ProfileShareName; readonly seconds: number; readonly share: number }[];
  /** False: the runtime timed no kernels, so that blocks are divided by their products' operations. */
  readonly kernels: boolean;
  /** FLOPs (2mnk of every product) per update, and those by what they are for. */
  readonly flops: number;
  readonly flopsByKind: Readonly<Record<string, number>>;
  /** Rate of a pure Gemm of the model's shapes: the better of two measurements, before the first update and after the last. */
  readonly gemmFlopsPerSecond: number;
  /** What the products alone would take at that rate. */
  readonly boundSeconds: number;
  /** `boundSeconds` / `secondsPerUpdate`. */
  readonly boundShare: number;
  /** Seconds outside updates: compilation before them, evaluations, checkpoints that were waited for. */
  readonly outside: Readonly<Record<string, number>>;
}
