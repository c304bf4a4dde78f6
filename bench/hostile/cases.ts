// Inputs that are made to break a reader, each as a command line in a folder of its own.
import { execFileSync } from "node:child_process";
import { mkdir, rm, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { safetensorsBytes } from "../../src/formats/fixtures/bytes.ts";
import { op, torchBytes, u32, wholePickle } from "../../src/formats/fixtures/torch.ts";
import { adapterFolder, BASE, CONFIG, headerLength, repeated, writeFiles, writePieces, writeSparse } from "./files.ts";

/** One hostile input. */
export interface HostileCase {
  readonly name: string;
  /** Writes it, and says the command line that meets it. */
  make(folder: string): Promise<readonly string[]>;
  /** Whether writing or reading it takes long; left out of the tests. */
  readonly isLarge?: boolean;
}

const inspect = (folder: string): readonly string[] => ["inspect", folder];
const verify = (folder: string): readonly string[] => ["verify", folder, "--values"];

/** An adapter whose weights are these bytes. */
const weights = (name: string, content: () => Uint8Array): HostileCase => ({
  name,
  make: async (folder) => inspect(await adapterFolder(folder, { "adapter_model.safetensors": content() })),
});
/** An adapter whose configuration is this, seen beside a base. */
const config = (name: string, content: unknown): HostileCase => ({
  name,
  async make(folder) {
    await adapterFolder(folder, { "adapter_config.json": content, "base.json": BASE });
    return ["inspect", folder, "--base", join(folder, "base.json")];
  },
});
const pattern = (name: string, targets: unknown, base: object = BASE): HostileCase => ({
  name: `target_modules: ${name}`,
  async make(folder) {
    await adapterFolder(folder, { "adapter_config.json": { ...CONFIG, target_modules: targets }, "base.json": base });
    return ["verify", folder, "--base", join(folder, "base.json")];
  },
});
const base = (name: string, change: object): HostileCase => ({
  name: `config.json: ${name}`,
  async make(folder) {
    await adapterFolder(folder, { "base.json": { ...BASE, ...change } });
    return ["inspect", folder, "--base", join(folder, "base.json")];
  },
});
const pickle = (name: string, content: () => Uint8Array): HostileCase => ({
  name: `optimizer.pt: ${name}`,
  make: async (folder) => inspect(await adapterFolder(folder, { "trainer_state.json": {}, "optimizer.pt": content() })),
});
/** A file of text that is too large for a string in memory here. */
const large = (name: string, file: string, pieces: () => Iterable<string | Uint8Array>, run = inspect): HostileCase => ({
  name,
  isLarge: true,
  async make(folder) {
    await adapterFolder(folder);
    await writePieces(join(folder, file), pieces());
    return run(folder);
  },
});
function* enclosed(start: string, pieces: Iterable<string>, end: string): Generator<string> {
  yield start;
  yield* pieces;
  yield end;
}
const tensor = (start: number, end: number): object => ({ dtype: "U8", shape: [end - start], data_offsets: [start, end] });
const many = <T>(count: number, entry: (i: number) => T): T[] => Array.from({ length: count }, (_, i) => entry(i));
const ESCAPES = "\u001b]0;owned\u0007\u001b[2J\u202egnp.\u009b31m\r\n";

const SAFETENSORS: readonly HostileCase[] = [
  weights("a header of 2^64 - 1 bytes", () => safetensorsBytes("{", undefined, 2n ** 64n - 1n)),
  weights("tensors that overlap", () => safetensorsBytes({ a: tensor(0, 8), b: tensor(4, 12) }, new Uint8Array(12))),
  weights("a shape whose product overflows", () =>
    safetensorsBytes({ a: { dtype: "F32", shape: [2 ** 40, 2 ** 40], data_offsets: [0, 8] } }, new Uint8Array(8)),
  ),
  weights("10,000 dimensions", () =>
    safetensorsBytes({ a: { dtype: "U8", shape: many(10_000, () => 1), data_offsets: [0, 1] } }, new Uint8Array(1)),
  ),
  weights("nested 100,000 deep", () => safetensorsBytes(`{"a":${"[".repeat(100_000)}`)),
  weights("a tensor's name of 1 MB", () => safetensorsBytes({ ["n".repeat(1_000_000)]: tensor(0, 1) }, new Uint8Array(1))),
  weights("names that steer a terminal", () =>
    safetensorsBytes(
      { [ESCAPES]: tensor(0, 1), [`base_model.model.${ESCAPES}.lora_A.weight`]: { dtype: "F32", shape: [1, 1], data_offsets: [1, 5] } },
      new Uint8Array(5),
    ),
  ),
  weights("names of JavaScript's own", () =>
    safetensorsBytes(
      '{"__proto__":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"constructor":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}',
      new Uint8Array(2),
    ),
  ),
  {
    name: "a header of 39 MB that is a hole",
    isLarge: true,
    async make(folder) {
      await adapterFolder(folder);
      await writeSparse(
        join(folder, "adapter_model.safetensors"),
        Buffer.concat([headerLength(39_000_000), Buffer.from("{")]),
        100_000_000,
      );
      return inspect(folder);
    },
  },
  large("a header of 39 MB of spaces", "adapter_model.safetensors", () => [
    headerLength(39_000_002),
    "{",
    ...repeated(" ", 39_000_000),
    "}",
  ]),
  large("500,000 tensors", "adapter_model.safetensors", function* () {
    const entry = (i: number): string => `"t${String(i).padStart(7, "0")}":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}`;
    const size = entry(0).length;
    yield headerLength(500_000 * (size + 1) + 1);
    for (let i = 0; i < 500_000; i += 1000) yield `${i === 0 ? "{" : ","}${many(1000, (j) => entry(i + j)).join(",")}`;
    yield "}";
  }),
];

const JSON_FILES: readonly HostileCase[] = [
  config("nested 100,000 deep", `{"peft_type":${"[".repeat(100_000)}`),
  config("names that steer a terminal in a configuration", {
    ...CONFIG,
    [ESCAPES]: 1,
    base_model_name_or_path: ESCAPES,
    peft_version: ESCAPES,
    target_modules: [ESCAPES],
  }),
  config("another type whose name steers a terminal", { peft_type: ESCAPES }),
  config("a rank of 1e308", { ...CONFIG, r: 1e308 }),
  config("a rank of 9e15", { ...CONFIG, r: 9e15 }),
  config("100,000 layers to transform", { ...CONFIG, layers_to_transform: many(100_000, (i) => i) }),
  config("100,000 targets", { ...CONFIG, target_modules: many(100_000, (i) => `m${i}`) }),
  config("20,000 rank patterns that run away", { ...CONFIG, rank_pattern: Object.fromEntries(many(20_000, (i) => [`(a+)+b${i}`, 2])) }),
  config("20,000 modules to save", { ...CONFIG, modules_to_save: many(20_000, (i) => `m${i}`) }),
  config("a configuration with Git conflict marks", `<<<<<<< HEAD\n${JSON.stringify(CONFIG)}\n=======\n`),
  large("a configuration of 120 MB of spaces", "adapter_config.json", () => enclosed("{", repeated(" ", 120_000_000), "}")),
  large("a configuration of 7 million values", "adapter_config.json", () =>
    enclosed('{"peft_type":"LORA","x":[', repeated("1,", 7_000_000), "1]}"),
  ),
  large("a configuration of 3 million keys", "adapter_config.json", function* () {
    yield '{"peft_type":"LORA"';
    for (let i = 0; i < 3_000_000; i += 1000) yield many(1000, (j) => `,"k${i + j}":1`).join("");
    yield "}";
  }),
  large("a number of 50 million digits", "adapter_config.json", () => enclosed('{"r":', repeated("7", 50_000_000), "}")),
  large("a trainer's state with a million log lines", "trainer_state.json", () =>
    enclosed('{"log_history":[', repeated('{"loss":1,"step":1,"learning_rate":0.1},', 1_000_000), "{}]}"),
  ),
  large("a tokenizer of 100 MB", "tokenizer.json", () => enclosed('{"model":{"vocab":{"', repeated("x", 100_000_000), '":1}}}'), verify),
  {
    name: "a record of 20 GB",
    async make(folder) {
      await adapterFolder(folder);
      await writeSparse(join(folder, "heirloom.json"), "{", 20e9);
      return inspect(folder);
    },
  },
  {
    name: "a log of 20 GB",
    async make(folder) {
      await adapterFolder(folder);
      await writeSparse(join(folder, "train.log"), "trainable params: 1", 20e9);
      return ["verify", folder, "--log", join(folder, "train.log")];
    },
  },
  {
    name: "a record whose fields steer a terminal",
    make: async (folder) => inspect(await adapterFolder(folder, { "heirloom.json": `{"${ESCAPES.replace(/[\r\n]/g, "")}": 1}` })),
  },
  {
    name: "a record with everything of the wrong type",
    make: async (folder) =>
      inspect(
        await adapterFolder(folder, {
          "heirloom.json": {
            schemaVersion: 1,
            run: [],
            step: {},
            trainable: [null, 1, { name: 5 }],
            evaluations: "x",
            config: { base: 1, adapter: 1, data: 1, training: { groups: [null], learningRate: "x" }, engine: 1 },
            base: { path: 1, fingerprint: { value: 1 } },
          },
        }),
      ),
  },
];

const MODELS: readonly HostileCase[] = [
  base("a billion layers", { num_hidden_layers: 1e9 }),
  base("100,000 layers", { num_hidden_layers: 100_000 }),
  base("a vocabulary of 9e15", { vocab_size: 9e15 }),
  base("a hidden size of 1e308", { hidden_size: 1e308 }),
  base("no heads", { num_attention_heads: 0, num_key_value_heads: 0 }),
  base("an architecture that steers a terminal", { architectures: [ESCAPES], model_type: ESCAPES }),
  {
    name: "explain: a base of 10,000 layers and a huge number",
    async make(folder) {
      await writeFiles(folder, { "base.json": { ...BASE, num_hidden_layers: 10_000 } });
      return ["explain", "999999999999999 9999999999999999", "--base", join(folder, "base.json")];
    },
  },
  {
    name: "an index of 4,000 shards that are not there",
    make: async (folder) =>
      inspect(
        await writeFiles(folder, {
          "config.json": BASE,
          "model.safetensors.index.json": { weight_map: Object.fromEntries(many(4000, (i) => [`t${i}`, `s${i}.safetensors`])) },
        }),
      ),
  },
  {
    name: "an index of 400,000 tensors in one shard",
    make: async (folder) =>
      inspect(
        await writeFiles(folder, {
          "config.json": BASE,
          "model.safetensors.index.json": { weight_map: Object.fromEntries(many(400_000, (i) => [`t${i}`, "s.safetensors"])) },
          "s.safetensors": safetensorsBytes({ t0: tensor(0, 1) }, new Uint8Array(1)),
        }),
      ),
  },
  {
    name: "an index whose shards lead elsewhere",
    make: async (folder) =>
      inspect(
        await writeFiles(folder, {
          "config.json": BASE,
          "model.safetensors.index.json": {
            weight_map: {
              a: "../../etc/passwd",
              b: "/dev/zero",
              c: `${ESCAPES}.safetensors`,
              d: "..",
              e: "C:\\x.safetensors",
              f: 7,
              g: "\0.safetensors",
            },
          },
        }),
      ),
  },
];

const PATTERNS: readonly HostileCase[] = [
  pattern("(a+)+$", "(.+)+x"),
  pattern("((a*)*)*", "((.*)*)*(a|aa)+(b|bb)+x"),
  pattern("nested lookaheads that each look everywhere", "(?=.*?(?=.*?(?=.*?(?=.*?x{4000}))))y"),
  pattern("nested atomic groups that each try every place", "(?>.*?(?>.*?(?>.*?(?>x{4000}y))))"),
  pattern("repeats of repeats", "((((a{9}){9}){9}){9}){9}"),
  pattern("20,000 steps that all run at every place", ".?".repeat(6_000)),
  pattern("a pattern of 10 MB", "a|".repeat(5_000_000)),
  pattern("nested 50,000 deep", `${"(".repeat(50_000)}a${")".repeat(50_000)}`),
  pattern("Python's $ and named groups", "(?P<x>.*)\\.q_proj$"),
  pattern("a backreference", "(.)\\1"),
  pattern("what JavaScript reads otherwise", "(?i:.*[[:alpha:]]_PROJ)\\Z"),
  pattern("a range out of order and bad escapes", "[z-a]\\q\\u12"),
  pattern("pattern with control characters", `${ESCAPES}(`),
  {
    name: "target_modules: a pattern on names of 1 MB",
    async make(folder) {
      const name = `base_model.model.${"a".repeat(1_000_000)}.lora_A.weight`;
      const bytes = safetensorsBytes({ [name]: { dtype: "F32", shape: [1, 1], data_offsets: [0, 4] } }, new Uint8Array(4));
      await adapterFolder(folder, {
        "adapter_config.json": { ...CONFIG, target_modules: "(.+)+x{1000}" },
        "adapter_model.safetensors": bytes,
      });
      await writeFiles(join(folder, "base"), {
        "config.json": { ...BASE, model_type: "gemma2" },
        "model.safetensors": safetensorsBytes(
          { [`${"a".repeat(1_000_000)}.weight`]: { dtype: "F32", shape: [1, 1], data_offsets: [0, 4] } },
          new Uint8Array(4),
        ),
      });
      return ["verify", folder, "--base", join(folder, "base")];
    },
  },
];

const PICKLES: readonly HostileCase[] = [
  pickle("os.system", () => torchBytes(wholePickle(op("cos\nsystem\n(X", u32(10), "touch x.px", "tR")))),
  pickle("builtins.eval by STACK_GLOBAL", () =>
    torchBytes(wholePickle(op("\u008c\u0008builtins\u008c\u0004eval\u0093(X", u32(1), "1", "tR"))),
  ),
  pickle("a module that steers a terminal", () => torchBytes(wholePickle(op(`c${ESCAPES.replace("\n", "")}\nx\n(tR`)))),
  pickle("two million empty lists", () => torchBytes(wholePickle(new Array<number>(2_000_000).fill(0x5d)))),
  pickle("a list that doubles 60 times", () =>
    torchBytes(wholePickle(op("]q\0").concat(...many(60, (i) => op("](h", [i], "h", [i], "eq", [i + 1]))))),
  ),
  pickle("100,000 tuples in tuples", () => torchBytes(wholePickle([...op(")"), ...new Array<number>(100_000).fill(0x85)]))),
  pickle("a text of 2 GB that is not there", () => torchBytes(wholePickle(op("X", u32(2 ** 31 - 1), "a")))),
  pickle("a compressed entry (a zip bomb)", () => torchBytes(wholePickle(op("N")), {}, { method: 8, size: 2 ** 31 })),
  pickle("entries larger than the file", () => torchBytes(wholePickle(op("N")), {}, { size: 2 ** 32 - 2, storedSize: 2 ** 32 - 2 })),
  pickle("an encrypted entry", () => torchBytes(wholePickle(op("N")), {}, { flags: 1 })),
  pickle("no zip at all", () => Uint8Array.from(many(5000, (i) => i % 256))),
];

/** A folder in which one file is something else than a file. */
const special = (name: string, replace: (path: string, folder: string) => unknown, file = "adapter_model.safetensors"): HostileCase => ({
  name,
  async make(folder) {
    await adapterFolder(folder);
    await rm(join(folder, file));
    await replace(join(folder, file), folder);
    return inspect(folder);
  },
});

const FILES: readonly HostileCase[] = [
  special("a link out of the folder", (path) => symlink("/etc/passwd", path), "adapter_config.json"),
  special("a link to a device", (path) => symlink("/dev/zero", path)),
  special("a link to itself", (path) => symlink("adapter_model.safetensors", path)),
  special("a link to the process's own memory", (path) => symlink("/proc/self/mem", path)),
  special("a pipe that nobody writes to", (path) => execFileSync("mkfifo", [path])),
  special("a pipe for a configuration", (path) => execFileSync("mkfifo", [path]), "adapter_config.json"),
  special("a folder for weights", (path) => mkdir(path)),
  special(
    "a socket",
    (path) =>
      new Promise<void>((done) => {
        const server = createServer().listen(path, () => {
          // The name stays behind when the server is gone without being closed.
          server.unref();
          done();
        });
      }),
  ),
  {
    name: "a pipe for a run's record",
    async make(folder) {
      await adapterFolder(join(folder, "adapter"));
      execFileSync("mkfifo", [join(folder, "run.json")]);
      return ["generate", folder, "--prompt", "x"];
    },
  },
  { name: "a device by name", make: () => Promise.resolve(inspect("/dev/zero")) },
  {
    name: "a folder of 20,000 files with names that steer a terminal",
    isLarge: true,
    async make(folder) {
      await mkdir(folder);
      for (let i = 0; i < 20_000; i++) await writeFile(join(folder, `adapter_c${i}\u001b[2J\u202e.json`), "");
      return inspect(folder);
    },
  },
  {
    name: "a path that steers a terminal",
    async make(folder) {
      const path = join(folder, "x\u001b]0;owned\u0007\u202e");
      await adapterFolder(path, { "adapter_model.safetensors": "no" });
      return inspect(path);
    },
  },
];

/** All of them, by kind. */
export const HOSTILE_CASES: Readonly<Record<string, readonly HostileCase[]>> = {
  safetensors: SAFETENSORS,
  "JSON files": JSON_FILES,
  "models and bases": MODELS,
  patterns: PATTERNS,
  pickles: PICKLES,
  "files and folders": FILES,
};
