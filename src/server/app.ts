import { type Context, Hono } from "hono";
import { cors } from "hono/cors";
import type { EngineModel } from "../generate/index.ts";
import { ApiError, asApiError } from "./api-error.ts";
import { answer } from "./endpoint.ts";
import { requireLoopbackHost, tokenCheck } from "./guards.ts";
import { chatJob, type Job, textJob } from "./job.ts";
import type { ServerSettings } from "./options.ts";
import type { LogEntry } from "./request-log.ts";
import { type AppEnv, findModel, noteFault, type Service } from "./service.ts";

/** A model as `/v1/models` lists it; the last two fields are ours. */
function modelEntry({ id, kind, contextLength }: EngineModel, created: number): object {
  return { id, object: "model", created, owned_by: "heirloom", kind, context_length: contextLength };
}

function errorResponse(c: Context<AppEnv>, error: ApiError): Response {
  for (const [name, value] of Object.entries(error.headers)) c.header(name, value);
  // No client reads a 499, and Hono would not let it be sent: the response goes nowhere.
  return c.json(error.body, error.status === 499 ? 400 : error.status);
}

/** Writes the log: at the end of the response, or where a streamed one ends later. */
function addLog(app: Hono<AppEnv>, { onRequest }: ServerSettings): void {
  app.use(async (c, next) => {
    const started = performance.now();
    const entry: LogEntry = { status: 0, model: null, promptTokens: null, completionTokens: null, error: null };
    const { method, path } = c.req;
    c.set("entry", entry);
    c.set("endsLater", false);
    c.set("finish", () => onRequest({ method, path, ...entry, ms: performance.now() - started }));
    await next();
    if (entry.status === 0) entry.status = c.res.status;
    if (!c.get("endsLater")) c.get("finish")();
  });
}

function addGuards(app: Hono<AppEnv>, service: Service): void {
  const { token, corsOrigins } = service.settings;
  app.use(async (c, next) => {
    if (token === null) requireLoopbackHost(c.req.header("host"));
    await next();
  });
  if (corsOrigins.length > 0) app.use(cors({ origin: corsOrigins.includes("*") ? "*" : [...corsOrigins], allowMethods: ["GET", "POST"] }));
  app.use(async (_c, next) => {
    if (service.isDraining) {
      throw new ApiError(503, "shutting_down", "the server is shutting down", { headers: { connection: "close" } });
    }
    await next();
  });
  if (token === null) return;
  const check = tokenCheck(token);
  app.use("/v1/*", async (c, next) => {
    check(c.req.header("authorization"));
    await next();
  });
}

function addRoutes(app: Hono<AppEnv>, service: Service): void {
  const { settings, admission, created } = service;
  const { models } = settings.engine;
  const completion = (read: (body: unknown) => Job) => (c: Context<AppEnv>) => answer(c, service, read);
  app.get("/health", (c) => {
    const counts = { models: models.length, slots: admission.slots, completions: admission.taken };
    const fault = service.engineFault ?? service.fault;
    return fault === null ? c.json({ status: "ok", ...counts }) : c.json({ status: "failing", error: fault, ...counts }, 503);
  });
  app.get("/v1/models", (c) => c.json({ object: "list", data: models.map((model) => modelEntry(model, created)) }));
  // Names of checkpoints have a slash in them, which some clients leave as it is.
  app.get("/v1/models/:id{.+}", (c) => c.json(modelEntry(findModel(models, c.req.param("id")), created)));
  app.post("/v1/chat/completions", completion(chatJob));
  app.post("/v1/completions", completion(textJob));
  const allowed = { "/health": "GET", "/v1/models": "GET", "/v1/chat/completions": "POST", "/v1/completions": "POST" };
  for (const [path, method] of Object.entries(allowed)) {
    app.all(path, (c) => {
      throw new ApiError(405, "method_not_allowed", `expected ${method}, found ${c.req.method}`, { headers: { allow: method } });
    });
  }
}

/** All routes of the server. */
export function createApp(service: Service): Hono<AppEnv> {
  const app = new Hono<AppEnv>();
  addLog(app, service.settings);
  addGuards(app, service);
  addRoutes(app, service);
  app.notFound((c) => {
    const error = new ApiError(404, "unknown_url", `there is no ${c.req.method} ${c.req.path.slice(0, 100)}`);
    c.get("entry").error = error.code;
    return errorResponse(c, error);
  });
  app.onError((thrown, c) => {
    const error = asApiError(thrown, "messages");
    const entry = c.get("entry");
    entry.error = error.code;
    entry.status = error.status;
    noteFault(service, error);
    return errorResponse(c, error);
  });
  return app;
}
