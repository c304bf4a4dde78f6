import { HeirloomError } from "../core/index.ts";
import { DEFAULT_SLOTS, type GenerationEngine, MAX_SLOTS } from "../generate/index.ts";
import type { RequestLog } from "./request-log.ts";

/** 1 MB: a conversation of some 250,000 tokens, more than any context here. */
const DEFAULT_MAX_BODY_BYTES = 1_000_000;
/** Waiting completions; eight slots empty such a queue in eight rounds. */
const DEFAULT_MAX_QUEUE = 64;
/** A connection that takes nothing for a minute is dead, or wants the slot for itself. */
const DEFAULT_STALL_MS = 60_000;
/** Longer than most answers take; what is under way then is ended. */
const DEFAULT_DRAIN_MS = 10_000;
const DEFAULT_HOST = "127.0.0.1";
const DEFAULT_PORT = 8080;
const MAX_PORT = 65_535;

/** Where and how a server answers. */
export interface ServerOptions {
  /** What completes; whoever opened it closes it. */
  readonly engine: GenerationEngine;
  /** How many requests the engine runs side by side. @defaultValue 8 */
  readonly slots?: number;
  /** How many completions may wait for a slot; more are refused with 429. @defaultValue 64 */
  readonly maxQueue?: number;
  /** Largest body of a request in bytes; larger ones are refused with 413. @defaultValue 1,000,000 */
  readonly maxBodyBytes?: number;
  /** @defaultValue "127.0.0.1" */
  readonly host?: string;
  /** 0: any that is free. @defaultValue 8080 */
  readonly port?: number;
  /** What clients must send as `Authorization: Bearer …`; needed for any host but a loopback address. @defaultValue none */
  readonly token?: string;
  /** Origins whose web pages may ask; `*`: all of them. @defaultValue none */
  readonly corsOrigins?: readonly string[];
  /** How long {@link HeirloomServer.close} waits for what is under way, in milliseconds. @defaultValue 10,000 */
  readonly drainMs?: number;
  /** How long a client may leave a streamed answer untaken before it counts as gone, in milliseconds. @defaultValue 60,000 */
  readonly stallMs?: number;
  /** Hears of every request once it is over. */
  readonly onRequest?: (request: RequestLog) => void;
  /** Hears of faults that clients are only told of as "500". */
  readonly onFault?: (error: unknown) => void;
}

/** {@link ServerOptions} with all defaults filled in. */
export interface ServerSettings extends Required<Omit<ServerOptions, "token">> {
  readonly token: string | null;
}

/** Whether only this machine reaches an address. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host);
}

function checkCount(where: string, value: number, least: number, most = Number.MAX_SAFE_INTEGER): void {
  if (Number.isSafeInteger(value) && value >= least && value <= most) return;
  const range = most === Number.MAX_SAFE_INTEGER ? `from ${least}` : `from ${least} to ${most}`;
  throw new HeirloomError("CONFIG_INVALID", `expected a whole number ${range}, found ${value}`, { where });
}

/** A token goes through a header, so it is printable ASCII without blanks. */
const TOKEN = /^[\x21-\x7e]+$/;
/** What browsers send as Origin: scheme, host, port. */
const ORIGIN = /^(\*|[a-z][a-z0-9+.-]*:\/\/[^/\s]+)$/i;

/**
 * Fills in defaults and refuses what cannot be.
 *
 * @throws CONFIG_INVALID, SERVER_EXPOSED for a host that others reach without a token
 */
export function serverSettings(options: Omit<ServerOptions, "engine">): Omit<ServerSettings, "engine"> {
  const settings = {
    slots: options.slots ?? DEFAULT_SLOTS,
    maxQueue: options.maxQueue ?? DEFAULT_MAX_QUEUE,
    maxBodyBytes: options.maxBodyBytes ?? DEFAULT_MAX_BODY_BYTES,
    host: options.host ?? DEFAULT_HOST,
    port: options.port ?? DEFAULT_PORT,
    token: options.token ?? null,
    corsOrigins: options.corsOrigins ?? [],
    drainMs: options.drainMs ?? DEFAULT_DRAIN_MS,
    stallMs: options.stallMs ?? DEFAULT_STALL_MS,
    onRequest: options.onRequest ?? (() => undefined),
    onFault: options.onFault ?? (() => undefined),
  };
  checkCount("slots", settings.slots, 1, MAX_SLOTS);
  checkCount("maxQueue", settings.maxQueue, 0);
  checkCount("maxBodyBytes", settings.maxBodyBytes, 1);
  checkCount("port", settings.port, 0, MAX_PORT);
  checkCount("drainMs", settings.drainMs, 0);
  checkCount("stallMs", settings.stallMs, 1);
  if (settings.token !== null && !TOKEN.test(settings.token))
    throw new HeirloomError("CONFIG_INVALID", "expected a token of printable ASCII characters without blanks, found another one", {
      where: "token",
    });
  const wrong = settings.corsOrigins.find((origin) => !ORIGIN.test(origin));
  if (wrong !== undefined)
    throw new HeirloomError("CONFIG_INVALID", `expected an origin such as https://example.org, found ${JSON.stringify(wrong)}`, {
      where: "corsOrigins",
    });
  if (settings.token === null && !isLoopback(settings.host)) {
    throw new HeirloomError("SERVER_EXPOSED", `anybody who reaches ${settings.host} could use the server: it has no token`, {
      where: "host",
      hint: "set HEIRLOOM_TOKEN to a secret, or leave --host at 127.0.0.1",
    });
  }
  return settings;
}
