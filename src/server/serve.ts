import type { HeirloomError } from "../core/index.ts";
import { type EngineModel, type GenerationEngineOptions, openGenerationEngine } from "../generate/index.ts";
import { type ServerOptions, serverSettings } from "./options.ts";
import { createServer } from "./server.ts";

/** What is served, and where. */
export interface ServeOptions extends Omit<ServerOptions, "engine">, Omit<GenerationEngineOptions, "inline"> {}

/** A server with its engine. */
export interface RunningServer {
  /** Such as `http://127.0.0.1:8080`; clients take it with `/v1` behind it. */
  readonly url: string;
  readonly models: readonly EngineModel[];
  /** What had to be taken for granted about the models, for people to read. */
  readonly notes: readonly string[];
  /** Resolves once the engine answers no more, with the reason: INTERRUPTED after {@link close}, else what its thread died of. */
  readonly ended: Promise<HeirloomError>;
  /** Waits for what is under way (at most `drainMs`), then frees everything. */
  close(): Promise<void>;
}

/**
 * Opens a base with its adapters and answers on the port: each of them is a model of an OpenAI-compatible server.
 *
 * @throws CONFIG_INVALID, SERVER_EXPOSED, SERVER_ADDRESS and what opening the models throws
 * @example
 * ```ts no-run
 * const server = await serve({ sources: [{ path: "runs/a", id: "a" }], port: 8080 });
 * console.log(`${server.url}/v1`);
 * await server.close();
 * ```
 */
export async function serve(options: ServeOptions): Promise<RunningServer> {
  const settings = serverSettings(options); // before gigabytes are read
  const { sources, base, contextLength, memoryLimit } = options;
  const engine = await openGenerationEngine({
    sources,
    slots: settings.slots,
    ...(base === undefined ? {} : { base }),
    ...(contextLength === undefined ? {} : { contextLength }),
    ...(memoryLimit === undefined ? {} : { memoryLimit }),
  });
  const server = createServer({ ...options, engine });
  try {
    const url = await server.listen();
    return {
      url,
      models: engine.models,
      notes: engine.notes,
      ended: engine.ended,
      async close() {
        await server.close();
        await engine.close();
      },
    };
  } catch (error) {
    await engine.close();
    throw error;
  }
}
