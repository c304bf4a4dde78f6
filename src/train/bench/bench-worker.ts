import { defineJob } from "../../core/node/index.ts";
import type { BenchRequest, BenchResult } from "./api.ts";
import { type BenchEvent, bench } from "./bench.ts";

/** The measurement, in a thread of its own: products block it. */
export const benchJob = defineJob<BenchRequest, BenchEvent, BenchResult>(import.meta.url, bench);
