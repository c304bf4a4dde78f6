import { HeirloomError } from "../core/index.ts";

/** A repository of models on the Hugging Face hub, or a folder or file in it. */
export interface HubAddress {
  /** `owner/name`, or `name` alone for the oldest repositories. */
  readonly repository: string;
  /** Branch, tag, commit or `refs/pr/N`. */
  readonly revision: string;
  /** Path inside the repository; empty for its root. */
  readonly path: string;
}

const SCHEME = "hf://";
/** What the hub allows in names of owners and repositories. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,95}$/;
const PULL_REQUEST = /^refs\/(?:pr|convert)\/[^/]+$/;

/** Whether a path names something on the hub. */
export function isHubAddress(path: string): boolean {
  return path.startsWith(SCHEME);
}

/** Splits at the first `@`; a pull request's revision has slashes in it. */
function splitRevision(text: string): { name: string; revision: string; rest: string } | null {
  const at = text.indexOf("@");
  const slash = text.indexOf("/");
  if (at < 0 || (slash >= 0 && slash < at))
    return { name: slash < 0 ? text : text.slice(0, slash), revision: "main", rest: slash < 0 ? "" : text.slice(slash + 1) };
  const parts = text.slice(at + 1).split("/");
  const taken = PULL_REQUEST.test(parts.slice(0, 3).join("/")) ? 3 : 1;
  try {
    return { name: text.slice(0, at), revision: decodeURIComponent(parts.slice(0, taken).join("/")), rest: parts.slice(taken).join("/") };
  } catch {
    return null; // a broken percent-encoding
  }
}

/**
 * Reads `hf://owner/name[@revision][/path]`.
 * @throws USAGE
 */
export function parseHubAddress(text: string): HubAddress {
  const slash = text.indexOf("/", SCHEME.length);
  const owner = slash < 0 ? "" : text.slice(SCHEME.length, slash);
  const split = slash < 0 ? null : splitRevision(text.slice(slash + 1).replace(/\/+$/, ""));
  const parts = split?.rest.split("/") ?? [];
  const isPath = split?.rest === "" || parts.every((part) => part !== "" && part !== "." && part !== ".." && !part.includes("\0"));
  if (split === null || !NAME.test(owner) || !NAME.test(split.name) || split.revision === "" || !isPath) {
    throw new HeirloomError("USAGE", `expected hf://OWNER/NAME[@REVISION][/PATH], found ${JSON.stringify(text)}`, {
      hint: "for instance hf://owner/name or hf://owner/name@main/checkpoint-100",
    });
  }
  return { repository: `${owner}/${split.name}`, revision: split.revision, path: split.rest };
}

/** The address in its one spelling, as messages name it. */
export function formatHubAddress({ repository, revision, path }: HubAddress): string {
  return `${SCHEME}${repository}${revision === "main" ? "" : `@${revision}`}${path === "" ? "" : `/${path}`}`;
}
