import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { type ByteSource, HeirloomError, nearestName } from "../core/index.ts";
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

/** The token that Hugging Face's tools use: `HF_TOKEN`, else the file that their login writes. */
async function tokenOf(env: Environment): Promise<string | undefined> {
  if (env["HF_TOKEN"] !== undefined && env["HF_TOKEN"] !== "") return env["HF_TOKEN"];
  const home = env["HF_HOME"] ?? join(homedir(), ".cache", "huggingface");
  const text = await readFile(env["HF_TOKEN_PATH"] ?? join(home, "token"), "utf8").catch(() => "");
  return text.trim() === "" ? undefined : text.trim();
}

/** Endpoint and token from the environment, as Hugging Face's own tools read them. */
export async function hubOptionsFrom(env: Environment): Promise<HubOptions> {
  return { endpoint: env["HF_ENDPOINT"] ?? ENDPOINT, token: await tokenOf(env) };
}

const encodePath = (path: string): string => path.split("/").map(encodeURIComponent).join("/");

function entriesOf(json: unknown, where: string): Listed[] {
  const list = Array.isArray(json) ? (json as readonly unknown[]) : null;
  const entries = list?.map((entry) => entry as Partial<Listed> | null) ?? [];
  const isWhole = entries.every(
    (entry) =>
      typeof entry?.type === "string" && typeof entry.path === "string" && (entry.size === undefined || Number.isSafeInteger(entry.size)),
  );
  if (list === null || !isWhole) {
    throw new HeirloomError("NETWORK", "expected a listing of files, and the server sent something else", {
      where,
      hint: "check HF_ENDPOINT",
    });
  }
  return entries.map((entry) => ({ type: entry?.type ?? "", path: entry?.path ?? "", size: entry?.size ?? 0 }));
}

/** Address of the next page, on the same server only: the token goes along. */
function nextPage(link: string | null, current: string): string | null {
  const found = /<([^>]+)>\s*;\s*rel="next"/.exec(link ?? "")?.[1];
  if (found === undefined) return null;
  const next = new URL(found, current);
  return next.origin === new URL(current).origin ? next.href : null;
}

/** All entries of a folder of a repository, by name. */
async function listEntries(address: HubAddress, endpoint: string, client: HttpClient): Promise<Map<string, Listed>> {
  const where = formatHubAddress(address);
  const { repository, revision, path } = address;
  const inside = path === "" ? "" : `/${encodePath(path)}`;
  let url: string | null = `${endpoint}/api/models/${repository}/tree/${encodeURIComponent(revision)}${inside}`;
  const found = new Map<string, Listed>();
  for (let page = 0; url !== null; page++) {
    if (page === MAX_PAGES) throw new HeirloomError("NETWORK", `the listing has more than ${MAX_PAGES} pages`, { where });
    const answer = await client.get(url, where, {}, MAX_PAGE_BYTES, ({ status }) => refuseStatus(status, client.hasToken, where));
    for (const entry of entriesOf(parseJson(new TextDecoder().decode(answer.body), where), where))
      found.set(entry.path.slice(entry.path.lastIndexOf("/") + 1), entry);
    url = nextPage(answer.headers.get("link"), url);
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
        ...(near === undefined ? {} : { hint: `did you mean ${near}?` }),
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
