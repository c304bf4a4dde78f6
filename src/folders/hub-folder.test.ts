import { afterEach, describe, expect, it } from "vitest";
import { isHeirloomError } from "../core/index.ts";
import { sparseSafetensors } from "../formats/fixtures/bytes.ts";
import { answers, type Fault, type HubFile, HubServer, hubFile } from "./fixtures/hub-server.ts";
import { type HubOptions, openPath } from "./index.ts";

const TOKEN = "hf_sentinelSENTINEL";
const CONFIG = JSON.stringify({ peft_type: "LORA", r: 2, lora_alpha: 4, target_modules: ["q_proj"], base_model_name_or_path: "b" });
const LORA = sparseSafetensors([
  { name: "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", shape: [2, 8], dtype: "F32" },
  { name: "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight", shape: [8, 2], dtype: "F32" },
]);
/** Too large to be taken whole from a server that ignores ranges. */
const LARGE = sparseSafetensors([{ name: "base_model.model.lm_head.weight", shape: [1024, 1024], dtype: "F32" }]);
const FILES: Readonly<Record<string, HubFile>> = {
  "README.md": hubFile("# hello"),
  "adapter_config.json": hubFile(CONFIG),
  "adapter_model.safetensors": hubFile(LORA.head, { size: LORA.size, isStored: true }),
  "checkpoint-10/adapter_config.json": hubFile(CONFIG),
  "checkpoint-10/adapter_model.safetensors": hubFile(LARGE.head, { size: LARGE.size, isStored: true }),
  "checkpoint-10/trainer_state.json": hubFile('{"global_step": 10}'),
};

let server: HubServer | undefined;
afterEach(async () => {
  await server?.close();
  server = undefined;
});

async function serve(fault?: Fault, files: Readonly<Record<string, HubFile>> = FILES): Promise<HubServer> {
  server = await HubServer.open(files);
  if (fault !== undefined) server.fault = fault;
  return server;
}

/** Opens the repository and its weights; short waits, so that a fault does not take long. */
async function tensorsOf(path: string, options: HubOptions = {}): Promise<readonly string[]> {
  const opened = await openPath(path, {
    hub: { endpoint: options.endpoint ?? server?.endpoint ?? "", token: TOKEN, retries: 1, waitMs: 1, stallMs: 10_000, ...options },
  });
  await opened.adapterConfig();
  const weights = await opened.requireWeights();
  await opened.close();
  return [...weights.tensors.keys()];
}

/** What it fails with; whatever it is, it never says the token. */
async function failure(path = "hf://o/n", options: HubOptions = {}): Promise<{ code: string; message: string; hint: string | undefined }> {
  const error: unknown = await tensorsOf(path, options).then(
    () => "it did not fail",
    (thrown: unknown) => thrown,
  );
  if (!isHeirloomError(error)) throw error;
  expect(`${JSON.stringify(error)}${error.stack ?? ""}${String(error.cause)}`).not.toContain("SENTINEL");
  return { code: error.code, message: error.message, hint: error.hint };
}

const isTree: (url: string) => boolean = (url) => url.startsWith("/api/");
const onWeights =
  (fault: Fault): Fault =>
  (seen, attempt) =>
    seen.server === "store" ? fault(seen, attempt) : undefined;
const onTree =
  (fault: Fault): Fault =>
  (seen, attempt) =>
    isTree(seen.url) ? fault(seen, attempt) : undefined;

describe("a repository on the hub", () => {
  it("is listed over all its pages and read by ranges, its files from where the server keeps them", async () => {
    const { seen } = await serve();
    expect(await tensorsOf("hf://o/n")).toHaveLength(2);
    expect(seen.filter(({ url }) => isTree(url)).map(({ url }) => url.replace(/.*\?/, "?"))).toEqual([
      "/api/models/o/n/tree/main",
      "?cursor=2",
    ]);
    expect(seen.filter(({ server: from }) => from === "store").map(({ range }) => range)).toEqual([`bytes=0-${LORA.size - 1}`]);
  });

  it("sends the token to the hub, and not to another server that the hub sends us to", async () => {
    const { seen } = await serve();
    await tensorsOf("hf://o/n");
    expect(seen.some(({ server: from }) => from === "store")).toBe(true);
    for (const { server: from, authorization } of seen) expect(authorization).toBe(from === "hub" ? `Bearer ${TOKEN}` : undefined);
  });

  it("opens a folder of a revision, and one file of it", async () => {
    const { seen } = await serve();
    expect(await tensorsOf("hf://o/n@v1/checkpoint-10")).toEqual(["base_model.model.lm_head.weight"]);
    expect(await tensorsOf("hf://o/n@v1/checkpoint-10/adapter_model.safetensors")).toHaveLength(1);
    expect(seen.every(({ server: from, url }) => from === "store" || url.includes("/v1"))).toBe(true);
  });

  it("escapes what is special in the names of revisions and files", async () => {
    const { seen } = await serve(undefined, { ...FILES, "a b#?%.safetensors": hubFile(LORA.head, { size: LORA.size }) });
    expect(await tensorsOf("hf://o/n@refs/pr/7/a b#?%.safetensors")).toHaveLength(2);
    expect(seen.at(-1)?.url).toBe("/o/n/resolve/refs%2Fpr%2F7/a%20b%23%3F%25.safetensors");
  });

  it("goes on after faults that pass", async () => {
    const faults = [answers.status(500), answers.status(429, { "retry-after": "0.01" }), answers.reset()];
    const { seen } = await serve(({ server: from }, attempt) => (from === "hub" ? faults[attempt] : undefined));
    expect(await tensorsOf("hf://o/n", { retries: 3 })).toHaveLength(2);
    expect(seen.length).toBeGreaterThan(12);
  });

  it("takes a small file whole from a server that ignores ranges", async () => {
    await serve(onWeights(() => (response) => void response.end(Buffer.concat([LORA.head], LORA.size))));
    expect(await tensorsOf("hf://o/n")).toHaveLength(2);
  });
});

describe("a server with faults", () => {
  it.each<[string, Fault, string]>([
    ["answers 503 always", () => answers.status(503), "answered 503 (2 tries)"],
    ["breaks the connection", () => answers.reset(), "the connection broke"],
    ["never answers", () => answers.silence(), "sent nothing for 0.3 s"],
    [
      "stops in the middle of a file",
      onWeights(() => answers.stall(206, { "content-range": `bytes 0-${LORA.size - 1}/${LORA.size}` }, 9)),
      "sent nothing",
    ],
    ["stops in the middle of a listing", onTree(() => answers.stall(200, {}, 9)), "sent nothing"],
    [
      "sends too few bytes",
      onWeights(() => answers.status(206, { "content-range": `bytes 0-${LORA.size - 1}/${LORA.size}` }, "abc")),
      "sent 3",
    ],
    [
      "ends a file before its length",
      onWeights(() => (response) => {
        response.writeHead(206, { "content-range": `bytes 0-${LORA.size - 1}/${LORA.size}`, "content-length": "99" });
        response.write("abc", () => response.destroy());
      }),
      "the connection broke",
    ],
    [
      "sends bytes without end",
      onWeights(() => answers.endless(206, { "content-range": `bytes 0-${LORA.size - 1}/${LORA.size}` })),
      "went on sending",
    ],
    ["sends a listing without end", onTree(() => answers.endless(200)), "went on sending"],
    ["says that there are no such bytes", onWeights(() => answers.status(416)), "the server has no bytes 0 to"],
    [
      "gives another size than its listing",
      onWeights(() => answers.status(206, { "content-range": `bytes 0-${LORA.size - 1}/7` }, "a".repeat(LORA.size))),
      "the server 7",
    ],
    [
      "sends another range",
      onWeights(() => answers.status(206, { "content-range": `bytes 1-${LORA.size}/${LORA.size}` }, "a".repeat(LORA.size))),
      "sends others",
    ],
    ["says no range", onWeights(() => answers.status(206, {}, "a".repeat(LORA.size))), "sends others"],
    ["refuses access (401)", () => answers.status(401), "refused access (401)"],
    ["refuses access (403)", onWeights(() => answers.status(403)), "refused access (403)"],
    ["answers with a teapot", () => answers.status(418), "answered 418"],
    ["sends a web page for a listing", onTree(() => answers.status(200, {}, "<!DOCTYPE html><html>")), "a web page"],
    ["sends half a listing", onTree(() => answers.status(200, {}, '[{"type": "file"')), "no JSON"],
    ["lists something else", onTree(() => answers.json({ error: "no" })), "something else"],
    ["lists entries without a path", onTree(() => answers.json([{ type: "file" }])), "something else"],
    ["lists negative sizes", onTree(() => answers.json([{ type: "file", path: "adapter_config.json", size: -1 }])), "something else"],
    ["lists null", onTree(() => answers.json([null])), "something else"],
    ["goes round in circles", onTree(({ url }) => answers.json([], { link: `<${url}>; rel="next"` })), "the server lists more"],
    ["sends us on for ever", ({ url }) => answers.status(302, { location: url }), "the connection broke"],
    [
      "lists on at another server",
      onTree(() => answers.json([], { link: '<http://127.0.0.1:1/x>; rel="next"' })),
      "a next page that is elsewhere",
    ],
  ])("that %s is named, and the token is not", async (_, fault, message) => {
    await serve(fault);
    const error = await failure("hf://o/n", message.startsWith("sent nothing") ? { stallMs: 300 } : {});
    expect(error.code).toBe("NETWORK");
    expect(error.message).toContain(message);
  });

  it("that ignores ranges is not asked for a large file", async () => {
    const { endpoint } = await serve(onWeights(() => answers.endless(200)));
    const error = await failure("hf://o/n/checkpoint-10", { endpoint });
    expect(error).toMatchObject({ code: "NETWORK", hint: "download the file and name its folder" });
    expect(error.message).toContain("ignores ranges");
  });

  it("that sends a byte now and then does not hold a command for ever", async () => {
    await serve(
      onWeights(() => (response) => {
        response.writeHead(206, { "content-range": `bytes 0-${LORA.size - 1}/${LORA.size}` });
        const timer = setInterval(() => response.write(" "), 50);
        response.on("close", () => clearInterval(timer));
      }),
    );
    const started = performance.now();
    expect((await failure("hf://o/n", { retries: 0, stallMs: 300 })).message).toContain("the server sent only");
    expect(performance.now() - started).toBeLessThan(10_000);
  });

  it("that is not there is named", async () => {
    const { endpoint } = await serve();
    await server?.close();
    expect((await failure("hf://o/n", { endpoint })).message).toContain("the server refused the connection");
    expect((await failure("hf://o/n", { endpoint: "http://nowhere.invalid" })).message).toContain("name could not be found");
    server = undefined;
  });

  it("says what is missing, and what a private repository needs", async () => {
    await serve();
    expect(await failure("hf://o/other")).toMatchObject({ code: "FILE_MISSING", hint: "check the address" });
    expect(await failure("hf://o/other", { token: undefined })).toMatchObject({ hint: expect.stringContaining("HF_TOKEN") as unknown });
    expect(await failure("hf://o/n/adapter_confg.json")).toMatchObject({ code: "FILE_MISSING", hint: "did you mean adapter_config.json?" });
    await server?.close();
    await serve(() => answers.status(401));
    expect(await failure("hf://o/n", { token: undefined })).toMatchObject({
      code: "NETWORK",
      hint: expect.stringContaining("HF_TOKEN") as unknown,
    });
  });
});

describe("a listing from a stranger", () => {
  it("does not lead out of its folder, whatever its names are", async () => {
    const { seen } = await serve(
      onTree(() =>
        answers.json(
          ["../adapter_config.json", "..", "x/adapter_config.json", "adapter_config.json/..", "a\\b", ""].map((path) => ({
            type: "file",
            path,
            size: 9,
          })),
        ),
      ),
    );
    expect((await failure()).code).toBe("FILE_MISSING");
    expect(seen.every(({ url }) => isTree(url))).toBe(true);
  });

  it("is refused where it has no end of files", async () => {
    const entries = (page: string): unknown[] =>
      Array.from({ length: 30_000 }, (_, i) => ({ type: "file", path: `${page}-${i}`, size: 1 }));
    await serve(onTree(({ url }) => answers.json(entries(url.replace(/\D/g, "")), { link: `</api/x?cursor=${url.length}>; rel="next"` })));
    expect((await failure()).message).toContain("the server lists more");
  });

  it("may hold names with control characters", async () => {
    await serve(onTree(() => answers.json([{ type: "file", path: "a\u001b[2Jb.json", size: 1 }])));
    expect((await failure()).message).not.toContain("\u001b");
  });
});
