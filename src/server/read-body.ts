import { isHeirloomError } from "../core/index.ts";
import { decodeUtf8, parseJson } from "../formats/index.ts";
import { ApiError } from "./api-error.ts";

function tooLarge(limit: number): ApiError {
  // The rest of the body is not read, so the connection cannot be used again.
  return new ApiError(413, "request_too_large", `expected a body of at most ${limit} bytes`, { headers: { connection: "close" } });
}

async function bytesOf(request: Request, limit: number): Promise<Uint8Array> {
  if (Number(request.headers.get("content-length") ?? 0) > limit) throw tooLarge(limit);
  const parts: Uint8Array[] = [];
  let size = 0;
  const reader = (request.body as ReadableStream<Uint8Array> | null)?.getReader();
  for (;;) {
    const part = (await reader?.read())?.value;
    if (part === undefined) return Buffer.concat(parts);
    size += part.length;
    if (size > limit) throw tooLarge(limit);
    parts.push(part);
  }
}

/** The JSON value of a request's body. @throws ApiError 413, 415 or 400 */
export async function readJsonBody(request: Request, maxBytes: number): Promise<unknown> {
  const type = request.headers.get("content-type") ?? "";
  // Not only form: a web page may send other types to any address without asking (CORS), this one it may not.
  if (!/^application\/json\s*(;|$)/i.test(type))
    throw new ApiError(415, "unsupported_media_type", `expected a body of the type application/json, found ${JSON.stringify(type)}`);
  const bytes = await bytesOf(request, maxBytes);
  try {
    return parseJson(decodeUtf8(bytes, "body"), "body", { duplicateKeys: "refuse" });
  } catch (error) {
    if (!isHeirloomError(error)) throw error;
    throw new ApiError(400, "invalid_json", `the body is not JSON: ${error.problems[0].message}`, { cause: error });
  }
}
