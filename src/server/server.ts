import { createServer as createHttpServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { getRequestListener } from "@hono/node-server";
import { HeirloomError, InternalError } from "../core/index.ts";
import { Admission } from "./admission.ts";
import { createApp } from "./app.ts";
import { type ServerOptions, type ServerSettings, serverSettings } from "./options.ts";
import type { Service } from "./service.ts";

/** What has been aborted still writes its last event. */
const LAST_WORDS_MS = 500;

/** An HTTP server before an engine. */
export interface HeirloomServer {
  /**
   * Begins to answer; returns the address, such as `http://127.0.0.1:8080`.
   *
   * @throws SERVER_ADDRESS if it cannot be listened at
   */
  listen(): Promise<string>;
  /** Takes no more requests, waits for those under way (at most `drainMs`), ends the rest, and frees the port. */
  close(): Promise<void>;
}

function urlOf(server: Server): string {
  const { address, family, port } = server.address() as AddressInfo;
  return `http://${family === "IPv6" ? `[${address}]` : address}:${port}`;
}

function addressError(cause: NodeJS.ErrnoException, { host, port }: ServerSettings): HeirloomError {
  const reasons: Readonly<Record<string, string>> = {
    EADDRINUSE: "another program listens there",
    EACCES: "the system does not allow it",
    EADDRNOTAVAIL: "it is no address of this machine",
    ENOTFOUND: "there is no host of this name",
  };
  return new HeirloomError("SERVER_ADDRESS", `the server cannot listen: ${reasons[cause.code ?? ""] ?? cause.message}`, {
    where: `${host}:${port}`,
    hint: cause.code === "EADDRINUSE" ? "choose another port with --port; 0 takes any that is free" : "choose another --host or --port",
    cause,
  });
}

class HttpServer implements HeirloomServer {
  readonly #settings: ServerSettings;
  readonly #service: Service;
  readonly #http: Server;
  readonly #open = new Set<ServerResponse>();
  #onIdle: (() => void) | null = null;
  #closing: Promise<void> | null = null;

  constructor(settings: ServerSettings) {
    this.#settings = settings;
    this.#service = {
      settings,
      admission: new Admission(settings.slots, settings.maxQueue),
      created: Math.floor(Date.now() / 1000),
      isDraining: false,
      fault: null,
      engineFault: null,
    };
    void settings.engine.ended.then(({ code }) => {
      this.#service.engineFault = code.toLowerCase();
    });
    const { fetch } = createApp(this.#service);
    // The library would replace the process's own Request and Response.
    const listener = getRequestListener(fetch, { overrideGlobalObjects: false });
    this.#http = createHttpServer((request, response) => {
      this.#open.add(response);
      response.once("close", () => {
        this.#open.delete(response);
        if (this.#open.size === 0) this.#onIdle?.();
      });
      listener(request, response).catch(settings.onFault);
    });
  }

  listen(): Promise<string> {
    const { host, port } = this.#settings;
    return new Promise((resolve, reject) => {
      const fail = (error: Error): void => reject(addressError(error, this.#settings));
      this.#http.once("error", fail);
      this.#http.listen(port, host, () => {
        this.#http.off("error", fail);
        this.#http.on("error", this.#settings.onFault);
        resolve(urlOf(this.#http));
      });
    });
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    if (!this.#http.listening) return;
    this.#service.isDraining = true;
    const closed = new Promise<void>((resolve) => {
      this.#http.close(() => resolve());
    });
    if (!(await this.#idleWithin(this.#settings.drainMs))) {
      this.#service.admission.abortAll();
      await this.#idleWithin(LAST_WORDS_MS);
    }
    this.#http.closeAllConnections();
    await closed;
  }

  /** Waits until every response is over; false if that takes longer. */
  #idleWithin(ms: number): Promise<boolean> {
    if (this.#open.size === 0) return Promise.resolve(true);
    if (this.#onIdle !== null) throw new InternalError("the server is being waited for twice");
    return new Promise((resolve) => {
      const finish = (isIdle: boolean): void => {
        clearTimeout(timer);
        this.#onIdle = null;
        resolve(isIdle);
      };
      const timer = setTimeout(() => finish(false), ms);
      this.#onIdle = () => finish(true);
    });
  }
}

/**
 * A server with OpenAI's endpoints before an engine of one's own.
 *
 * @throws CONFIG_INVALID, SERVER_EXPOSED for a host that others reach without a token
 * @example
 * ```ts no-run
 * const engine = await openGenerationEngine({ sources: [{ path: "runs/a" }] });
 * const server = createServer({ engine, port: 0 });
 * console.log(await server.listen());
 * ```
 */
export function createServer(options: ServerOptions): HeirloomServer {
  return new HttpServer({ engine: options.engine, ...serverSettings(options) });
}
