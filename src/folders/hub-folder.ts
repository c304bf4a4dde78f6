import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { type ByteSource, HeirloomError, isHeirloomError, nearestName } from "../core/index.ts";
import { parseJson, printable } from "../formats/index.ts";
import { HttpClient, type HttpOptions } from "./http-client.ts";
import { HttpSource, refuseStatus } from "./http-source.ts";
import { formatHubAddress, type HubAddress } from "./hub-address.ts";
import type { OpenFolder } from "./open-folder.ts";

/** The public hub; `HF_ENDPOINT` names another one, as for Hugging Face's own tools. */
const ENDPOINT = "https://huggingface.co";
/** A page of the listing holds 1,000 entries of some 300 bytes. */
const MAX_PAGE_BYTES = 4 << 20;
/** The largest folders on the hub hold a few thousand files. */
const MAX_PAGES = 50;
const MAX_ENTRIES = 50_000;

/** How the hub is reached. */
export interface HubOptions extends HttpOptions {
  /** @defaultValue `HF_ENDPOINT`, else the public hub */
  readonly endpoint?: string;
}

interface Listed {
  readonly type: string;
  readonly path: string;
  readonly size: number;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** What an HTTP header can carry; a token is letters, digits and underscores. */
const HEADER_TEXT = /^[!-~]+$/;

/** The token that Hugging Face's tools use: `HF_TOKEN`, else the file that their login writes. @throws USAGE */
async function tokenOf(env: Environment): Promise<string | undefined> {
  let token = env["HF_TOKEN"]?.trim() ?? "";
  if (token === "") {
    const home = env["HF_HOME"] ?? join(homedir(), ".cache", "huggingface");
    token = (await readFile(env["HF_TOKEN_PATH"] ?? join(home, "token"), "utf8").catch(() => "")).trim();
  }
  if (token === "") return undefined;
  if (!HEADER_TEXT.test(token)) {
    throw new HeirloomError("USAGE", "expected an access token, found text with spaces or other characters that no token has", {
      where: "HF_TOKEN",
      hint: "copy the token again; it begins with hf_",
    });
  }
  return token;
}

/** @throws USAGE */
function endpointOf(env: Environment): string {
  const endpoint = env["HF_ENDPOINT"]?.trim() ?? "";
  if (endpoint === "") return ENDPOINT;
  if (!/^https?:\/\/[^/?#@]+(?:\/[^?#@]*)?$/.test(endpoint) || !URL.canParse(endpoint)) {
    throw new HeirloomError("USAGE", "expected an address such as https://huggingface.co, found something else", {
      where: "HF_ENDPOINT",
      hint: "write it with http:// or https://, and without user or query",
    });
  }
  return endpoint;
}

/** Endpoint and token from the environment, as Hugging Face's own tools read them. @throws USAGE */
export async function hubOptionsFrom(env: Environment): Promise<HubOptions> {
  return { endpoint: endpointOf(env), token: await tokenOf(env) };
}

const encodePath = (path: string): string => path.split("/").map(encodeURIComponent).join("/");

function noListing(where: string, found: string): HeirloomError {
  return new HeirloomError("NETWORK", `expected a listing of files, and the server sent ${found}`, {
    where,
    hint: "check HF_ENDPOINT, and whether a proxy or a login page answers instead of the hub",
  });
}

function parseListing(body: Uint8Array, where: string): unknown {
  try {
    return parseJson(new TextDecoder().decode(body), where);
  } catch (error) {
    if (!isHeirloomError(error)) throw error;
    const start = new TextDecoder().decode(body.subarray(0, 64));
    throw noListing(where, /^\s*<(?:!doctype|html|\?xml)/i.test(start) ? "a web page" : "no JSON");
  }
}

const isSize = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0;

function entriesOf(json: unknown, where: string): Listed[] {
  const list = Array.isArray(json) ? (json as readonly unknown[]) : null;
  const entries = list?.map((entry) => entry as Partial<Listed> | null) ?? [];
  const isWhole = entries.every(
    (entry) => typeof entry?.type === "string" && typeof entry.path === "string" && (entry.size === undefined || isSize(entry.size)),
  );
  if (list === null || !isWhole) throw noListing(where, "something else");
  return entries.map((entry) => ({ type: entry?.type ?? "", path: entry?.path ?? "", size: entry?.size ?? 0 }));
}

/** Name of an entry that lies directly in the folder; null for one that does not, or that leads elsewhere. */
function nameIn(folder: string, path: string): string | null {
  const prefix = folder === "" ? "" : `${folder}/`;
  if (!path.startsWith(prefix)) return null;
  const name = path.slice(prefix.length);
  return name === "" || name === "." || name === ".." || /[/\\\0]/.test(name) ? null : name;
}

/** Address of the next page, on the same server only: the token goes along. */
function nextPage(link: string | null, current: string, where: string): string | null {
  const found = /<([^<>]+)>\s*;\s*rel="next"/.exec(link ?? "")?.[1];
  if (found === undefined) return null;
  const next = URL.canParse(found, current) ? new URL(found, current) : null;
  if (next?.origin === new URL(current).origin) return next.href;
  throw noListing(where, "a next page that is elsewhere");
}

/** All entries of a folder of a repository, by name. */
async function listEntries(address: HubAddress, endpoint: string, client: HttpClient): Promise<Map<string, Listed>> {
  const where = formatHubAddress(address);
  const { repository, revision, path } = address;
  const inside = path === "" ? "" : `/${encodePath(path)}`;
  let url: string | null = `${endpoint}/api/models/${repository}/tree/${encodeURIComponent(revision)}${inside}`;
  const found = new Map<string, Listed>();
  for (let page = 0; url !== null; page++) {
    if (page === MAX_PAGES || found.size > MAX_ENTRIES) {
      throw new HeirloomError("NETWORK", `expected at most ${MAX_ENTRIES} files on ${MAX_PAGES} pages, and the server lists more`, {
        where,
        hint: "name a folder inside: hf://OWNER/NAME/FOLDER",
      });
    }
    const answer = await client.get(url, where, {}, MAX_PAGE_BYTES, ({ status }) => refuseStatus(status, client.hasToken, where));
    for (const entry of entriesOf(parseListing(answer.body, where), where)) {
      const name = nameIn(path, entry.path);
      if (name !== null) found.set(name, entry);
    }
    url = nextPage(answer.headers.get("link"), url, where);
  }
  return found;
}

/**
 * Opens a folder of a repository on the hub. Files are read by ranges; nothing is
 * stored. A name that the listing lacks is refused without a request.
 *
 * @throws NETWORK, FILE_MISSING
 */
export async function openHubFolder(address: HubAddress, options: HubOptions): Promise<OpenFolder> {
  const { endpoint = ENDPOINT } = options;
  const client = new HttpClient(options);
  const name = formatHubAddress(address);
  const entries = await listEntries(address, endpoint.replace(/\/+$/, ""), client);
  const open = (file: string): ByteSource => {
    const entry = entries.get(file);
    if (entry === undefined || entry.type !== "file") {
      const near = nearestName(file, [...entries.keys()]);
      throw new HeirloomError("FILE_MISSING", `the repository has no file ${JSON.stringify(printable(file))} there`, {
        where: name,
        ...(near === undefined ? {} : { hint: `did you mean ${printable(near, 80)}?` }),
      });
    }
    const { repository, revision } = address;
    const url = `${endpoint.replace(/\/+$/, "")}/${repository}/resolve/${encodeURIComponent(revision)}/${encodePath(entry.path)}`;
    return new HttpSource(`${name}/${file}`, url, entry.size, client);
  };
  return {
    name,
    list: () => Promise.resolve([...entries.keys()].sort()),
    open: async (file) => open(file),
    close: () => Promise.resolve(),
  };
}
