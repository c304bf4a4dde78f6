import { expect, test } from "vitest";
import { requestLine } from "./request-log.ts";

const log = { method: "GET", status: 404, model: null, promptTokens: null, completionTokens: null, ms: 3, error: null };

test.each([
  ["/x\nPOST /v1/completions 200", '"/x\\nPOST /v1/completions 200"'],
  ["/x\u001b[2J", '"/x\\u001b[2J"'],
  ["/x\u2028\u009by", '"/x\\u2028\\u009by"'],
  ["/v1/models/run.1@20", "/v1/models/run.1@20"],
])("a request is one line of printable text, whatever its path: %j", (path, shown) => {
  expect(requestLine({ ...log, path })).toBe(`GET ${shown} 404 3 ms`);
});
