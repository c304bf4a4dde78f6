import { defineJob } from "../core/node/index.ts";
import type { TrainingResult } from "./api.ts";
import type { TrainingEvent } from "./events.ts";
import { executeRun } from "./execute-run.ts";
import type { RunRequest } from "./run-request.ts";

/** The training job: everything heavy of a run, in a thread that owns the weights. */
export const trainJob = defineJob<RunRequest, TrainingEvent, TrainingResult>(import.meta.url, executeRun);
