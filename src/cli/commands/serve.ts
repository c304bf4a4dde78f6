import { HeirloomError } from "../../core/index.ts";
import type { RequestLog, ServeOptions } from "../../server/index.ts";
import { parseByteSize } from "../byte-size.ts";
import { defineCommand, type Session } from "../command.ts";
import { textFlag, textsFlag } from "../config-flags.ts";
import { engineSources, modelArgument } from "../engine-source.ts";
import { optionalPaths } from "../paths.ts";
import { asHeirloomError } from "../terminal/index.ts";
import { wholeNumber } from "../whole-number.ts";

interface Flags {
  readonly adapter?: readonly string[];
  readonly base?: string;
  readonly host?: string;
  readonly port?: number;
  readonly token?: string;
  readonly maxBody?: number;
  readonly maxQueue?: number;
  readonly slots?: number;
  readonly context?: number;
  readonly cors?: readonly string[];
}

/** What was served, once it is over. */
interface ServeResult {
  readonly url: string;
  readonly models: readonly string[];
  readonly requests: number;
  readonly completionTokens: number;
}

/** A number of a port or of a queue: these may be 0. */
function number(text: string): number {
  if (/^\d+$/.test(text)) return Number(text);
  throw new HeirloomError("USAGE", `expected a whole number from 0, found "${text}"`);
}

async function optionsOf(flags: Flags, path: string, { folder, terminal }: Session): Promise<ServeOptions> {
  const { HEIRLOOM_TOKEN: secret } = terminal.env;
  const token = flags.token ?? (secret === "" ? undefined : secret);
  const given = {
    host: flags.host,
    port: flags.port,
    token,
    maxBodyBytes: flags.maxBody,
    maxQueue: flags.maxQueue,
    slots: flags.slots,
    contextLength: flags.context,
    corsOrigins: flags.cors,
  };
  return {
    sources: await engineSources([path, ...(flags.adapter ?? [])], folder),
    ...optionalPaths(folder, { base: flags.base }),
    ...(Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as Partial<ServeOptions>),
  };
}

function aborted(signal: AbortSignal): Promise<null> {
  if (signal.aborted) return Promise.resolve(null);
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(null), { once: true }));
}

export const serve = defineCommand<Flags, [path: string], ServeResult>({
  brief: "Answer over HTTP as OpenAI's API does, each adapter as a model",
  description:
    "Answers /v1/chat/completions, /v1/completions, /v1/models and /health until Ctrl-C: then what is under way is finished (10 s at most). Each request is a line on stderr, without its text.",
  examples: [
    { line: "serve runs/a", what: "for clients on this machine, at http://127.0.0.1:8080/v1" },
    { line: "serve models/m --adapter a=runs/a --adapter b=runs/b", what: "a base and two adapters, as three models" },
    { line: "serve runs/a --host 0.0.0.0 --max-queue 16", what: "for others, who need the token in HEIRLOOM_TOKEN" },
  ],
  flags: {
    adapter: textsFlag("Another adapter of the same base, and what it is called; may be given several times", "name=path"),
    base: textFlag("Base model, if the record names none or another is meant", "path"),
    host: textFlag("Address to listen at (127.0.0.1); any other than a loopback address needs a token", "address"),
    port: {
      kind: "parsed",
      parse: number,
      optional: true,
      brief: "Port to listen at (8080); 0 takes any that is free",
      placeholder: "number",
    },
    token: textFlag("What clients must send as their API key; HEIRLOOM_TOKEN keeps it out of the list of processes", "text"),
    maxBody: {
      kind: "parsed",
      parse: (text: string) => parseByteSize(text, "--max-body"),
      optional: true,
      brief: "Largest body of a request (1MB)",
      placeholder: "size",
    },
    maxQueue: { kind: "parsed", parse: number, optional: true, brief: "Completions that may wait for a slot (64)", placeholder: "number" },
    slots: { kind: "parsed", parse: wholeNumber, optional: true, brief: "Completions at once (8)", placeholder: "number" },
    context: {
      kind: "parsed",
      parse: wholeNumber,
      optional: true,
      brief: "Longest prompt and completion together (what the model was made for)",
      placeholder: "tokens",
    },
    cors: textsFlag("Origin whose web pages may ask; may be given several times", "origin"),
  },
  positional: {
    kind: "tuple",
    parameters: [modelArgument],
  },
  async run(flags, [path], session) {
    const { progress, signal } = session;
    const library = await import("../../server/index.ts");
    let requests = 0;
    let completionTokens = 0;
    const server = await library.serve({
      ...(await optionsOf(flags, path, session)),
      onRequest(request: RequestLog) {
        requests++;
        completionTokens += request.completionTokens ?? 0;
        progress.line(library.requestLine(request));
      },
      onFault: (error) => progress.note(`a request failed: ${asHeirloomError(error).message}`),
    });
    for (const note of server.notes) progress.note(note);
    const models = server.models.map(({ id }) => id);
    progress.line(`serving ${models.join(", ")} at ${server.url}/v1`);
    // Without its engine a server only stands in the way of one that is started anew.
    const fault = await Promise.race([aborted(signal), server.ended]);
    await server.close();
    if (fault !== null) throw fault;
    return { url: server.url, models, requests, completionTokens };
  },
  render: () => "",
});
