import type { HttpBindings } from "@hono/node-server";
import { nearestName } from "../core/index.ts";
import type { EngineModel } from "../generate/index.ts";
import type { Admission } from "./admission.ts";
import { ApiError } from "./api-error.ts";
import type { ServerSettings } from "./options.ts";
import type { LogEntry } from "./request-log.ts";

/** What the routes share. */
export interface Service {
  readonly settings: ServerSettings;
  readonly admission: Admission;
  /** When the server began, in seconds since 1970. */
  readonly created: number;
  isDraining: boolean;
  /** Code of the fault that the last completion ended with; null: it went well. */
  fault: string | null;
  /** Code of what ended the engine, for good; null: it runs. */
  engineFault: string | null;
}

/** Hono's types of a request here. */
export interface AppEnv {
  Bindings: HttpBindings;
  Variables: {
    entry: LogEntry;
    /** Set where the answer is streamed: its log is written at its end. */
    endsLater: boolean;
    /** Writes the log. */
    finish: () => void;
  };
}

/** Keeps a fault of ours in mind, and tells it. */
export function noteFault(service: Service, error: ApiError): void {
  if (error.status !== 500) return;
  service.fault = error.code;
  service.settings.onFault(error.cause);
}

/** The model of a name. @throws ApiError 404 */
export function findModel(models: readonly EngineModel[], id: string): EngineModel {
  const found = models.find((model) => model.id === id);
  if (found !== undefined) return found;
  const names = models.map((model) => model.id);
  const near = nearestName(id, names);
  const hint = near === undefined ? `there ${names.length === 1 ? "is" : "are"} ${names.join(", ")}` : `did you mean ${near}?`;
  throw new ApiError(404, "model_not_found", `the model ${JSON.stringify(id.slice(0, 100))} does not exist; ${hint}`, { param: "model" });
}
