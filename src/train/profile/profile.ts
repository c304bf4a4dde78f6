import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Trace } from "../../core/index.ts";
import type { ProfileSummary } from "../../runs/index.ts";
import { TraceFile } from "./trace-file.ts";
import { Tracer } from "./tracer.ts";

/** The first name that is free: a run that is resumed has a trace of each process. */
function freeName(folder: string): string {
  for (let n = 1; ; n++) {
    const path = join(folder, n === 1 ? "trace.json" : `trace-${n}.json`);
    if (!existsSync(path)) return path;
  }
}

/** A run's profile: its trace while it trains, and what that comes to. */
export class Profile {
  readonly #tracer: Tracer;
  #gemmRate = 0;
  #summary: ProfileSummary | null | undefined;

  /**
   * @param file where the trace goes; true: into the run's folder
   * @throws OUTPUT_EXISTS, WRITE_FAILED
   */
  constructor(file: string | true, run: string) {
    this.#tracer = new Tracer(new TraceFile(file === true ? freeName(run) : file));
  }

  get trace(): Trace {
    return this.#tracer;
  }

  /** What the bound of an update is worked out with: the highest rate that is heard of. */
  hearGemmRate(flopsPerSecond: number): void {
    this.#gemmRate = Math.max(this.#gemmRate, flopsPerSecond);
    this.#tracer.gemmFlopsPerSecond = this.#gemmRate;
  }

  get isOpen(): boolean {
    return this.#summary === undefined;
  }

  /** Ends the trace, once; null if no update was made. */
  async end(): Promise<ProfileSummary | null> {
    if (this.#summary !== undefined) return this.#summary;
    this.#summary = null;
    try {
      await this.#tracer.settle();
    } finally {
      this.#summary = this.#tracer.close();
    }
    return this.#summary;
  }
}
