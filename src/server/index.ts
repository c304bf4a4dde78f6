// server: HTTP before the generation engine, as OpenAI's API has it: routes, limits, token, streaming, shutdown.
// Knows what a completion is, not how one is made; holds no tensor code and must not know training.

export type { ServerOptions } from "./options.ts";
export { type RequestLog, requestLine } from "./request-log.ts";
export { type RunningServer, type ServeOptions, serve } from "./serve.ts";
export { createServer, type HeirloomServer } from "./server.ts";
