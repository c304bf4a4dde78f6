import { createHash, timingSafeEqual } from "node:crypto";
import { ApiError } from "./api-error.ts";
import { isLoopback } from "./options.ts";

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

/** A check of the Authorization header; the time that it takes says nothing about the token, nor about its length. */
export function tokenCheck(token: string): (authorization: string | undefined) => void {
  const expected = digest(token);
  return (authorization) => {
    const [, given] = /^Bearer +(\S+)$/i.exec(authorization ?? "") ?? [];
    if (given !== undefined && timingSafeEqual(digest(given), expected)) return;
    const what = authorization === undefined ? "no API key" : "an API key that is not this server's";
    throw new ApiError(401, "invalid_api_key", `expected the server's token in "Authorization: Bearer …", found ${what}`, {
      headers: { "www-authenticate": "Bearer" },
    });
  };
}

/** The name in a Host header, without port and brackets. */
function hostName(header: string): string {
  return header
    .replace(/:\d+$/, "")
    .replace(/^\[(.*)\]$/, "$1")
    .toLowerCase();
}

/**
 * A web page whose name its owner points at 127.0.0.1 would reach a server without a token as its own origin: such a server
 * answers only to the names of this machine.
 */
export function requireLoopbackHost(header: string | undefined): void {
  if (header !== undefined && isLoopback(hostName(header))) return;
  throw new ApiError(403, "host_not_allowed", "this server has no token, so it answers to localhost and loopback addresses only");
}
