import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openFile } from "../../core/node/index.ts";
import { type GgufHeader, type GgufMetadata, readGgufHeader } from "../../formats/index.ts";
import { failure } from "../../train/fixtures/tiny-run.ts";
import { ExportScene } from "../fixtures/scene.ts";
import { exportGguf, type GgufResult, importGguf } from "../index.ts";

let scene: ExportScene;
let made = 0;
beforeAll(() => {
  scene = new ExportScene();
});
afterAll(() => scene.close());

async function headerOf(path: string): Promise<GgufHeader> {
  const file = await openFile(path);
  try {
    return await readGgufHeader(file);
  } finally {
    await file.close();
  }
}

async function exported(path: string): Promise<GgufResult & { readonly metadata: GgufMetadata }> {
  const result = await exportGguf({ path, output: scene.path(`${++made}.gguf`) }, { inline: true });
  return { ...result, metadata: (await headerOf(result.output)).metadata };
}

type Json = Record<string, unknown>;
const jsonOf = (path: string): Json => JSON.parse(readFileSync(path, "utf8")) as Json;

/** Changes a JSON file of a model's folder. */
function change(folder: string, file: string, edit: (json: Json) => void): void {
  const json = jsonOf(join(folder, file));
  edit(json);
  writeFileSync(join(folder, file), JSON.stringify(json));
}

const entryOf = (metadata: GgufMetadata, key: string): unknown => {
  const found = metadata.get(`tokenizer.ggml.${key}`);
  return found?.type === "ARRAY" ? found.values : found?.value;
};

/** ids [bos, a text, eos] by a post-processor. */
const template = (...parts: readonly (readonly [string, number] | null)[]): object => ({
  type: "TemplateProcessing",
  single: parts.map((part) => (part === null ? { Sequence: { id: "A", type_id: 0 } } : { SpecialToken: { id: part[0], type_id: 0 } })),
  pair: [{ Sequence: { id: "A", type_id: 0 } }, { Sequence: { id: "B", type_id: 1 } }],
  special_tokens: Object.fromEntries(
    parts.flatMap((part) => (part === null ? [] : [[part[0], { id: part[0], ids: [part[1]], tokens: [part[0]] }]])),
  ),
});

describe("what a GGUF file says of the tokens around a text", () => {
  let path: string;
  let special: readonly (readonly [string, number])[];
  beforeAll(async () => {
    path = await scene.model("around");
    const added = jsonOf(join(path, "tokenizer.json"))["added_tokens"] as { content: string; id: number }[];
    special = added.map(({ content, id }) => [content, id] as const);
  });

  test.each([
    ["BOS before it", true, false],
    ["EOS after it", false, true],
    ["both", true, true],
    ["neither", false, false],
  ])("is what the post-processor does: %s", async (_, bos, eos) => {
    const { bos_token: start, eos_token: end } = jsonOf(join(path, "tokenizer_config.json")) as { bos_token: string; eos_token: string };
    const token = (content: string) => special.find(([name]) => name === content) as readonly [string, number];
    change(path, "tokenizer.json", (json) => {
      json["post_processor"] = template(...(bos ? [token(start)] : []), null, ...(eos ? [token(end)] : []));
    });
    const { metadata, notes } = await exported(path);
    expect([entryOf(metadata, "add_bos_token"), entryOf(metadata, "add_eos_token")]).toEqual([bos, eos]);
    expect(notes).toEqual([]);
  });

  test("is told where tokenizer_config.json says otherwise, and is refused where GGUF has no word for it", async () => {
    const eos = String(jsonOf(join(path, "tokenizer_config.json"))["eos_token"]);
    const other = special.find(([content]) => content === eos) as readonly [string, number];
    change(path, "tokenizer.json", (json) => {
      json["post_processor"] = null;
    });
    change(path, "tokenizer_config.json", (json) => {
      json["add_eos_token"] = true;
    });
    const { metadata, notes } = await exported(path);
    expect(entryOf(metadata, "add_eos_token")).toBe(false);
    expect(notes.join()).toContain("tokenizer_config.json says add_eos_token: true");
    change(path, "tokenizer.json", (json) => {
      json["post_processor"] = template(other, null);
    });
    const error = await failure(exported(path));
    expect(error).toMatchObject({ code: "EXPORT_UNSUPPORTED", details: { feature: "tokenizer" } });
    expect(error.message).toContain(`[${other[1]}] before`);
  });
});

describe("what a GGUF file says of added tokens and of ends", () => {
  /** A model whose last tokens are added ones of these names. */
  async function withAdded(name: string, added: readonly (readonly [string, boolean])[], ends: readonly string[]) {
    const path = await scene.model(name);
    const taken = jsonOf(join(path, "tokenizer.json"))["added_tokens"] as { id: number }[];
    const spec = jsonOf(join(path, "config.json")) as { vocab_size: number };
    const ids = new Map<string, number>();
    change(path, "tokenizer.json", (json) => {
      const vocab = (json["model"] as { vocab: Record<string, number> }).vocab;
      const free = Array.from({ length: spec.vocab_size }, (_, id) => spec.vocab_size - 1 - id);
      // Rows of plain tokens at the end of the vocabulary become those of added ones.
      for (const [content] of added)
        ids.set(content, free.find((id) => !taken.some((token) => token.id === id) && ![...ids.values()].includes(id)) ?? 0);
      for (const [token, id] of Object.entries(vocab)) if ([...ids.values()].includes(id)) delete vocab[token];
      const entry = ([content, isSpecial]: readonly [string, boolean]) => ({
        id: ids.get(content),
        content,
        single_word: false,
        lstrip: false,
        rstrip: false,
        normalized: false,
        special: isSpecial,
      });
      json["added_tokens"] = [...taken, ...added.map(entry)];
    });
    writeFileSync(join(path, "generation_config.json"), JSON.stringify({ eos_token_id: ends.map((end) => ids.get(end)) }));
    return { path, id: (content: string) => ids.get(content) as number };
  }

  test("special ones are control tokens, others are user-defined, also those that only tokenizer_config.json has", async () => {
    const { path, id } = await withAdded(
      "kinds",
      [
        ["<|turn|>", true],
        ["<tool_call>", false],
        ["<late>", false],
      ],
      [],
    );
    change(path, "tokenizer.json", (json) => {
      json["added_tokens"] = (json["added_tokens"] as { content: string }[]).filter(({ content }) => content !== "<late>");
    });
    change(path, "tokenizer_config.json", (json) => {
      json["added_tokens_decoder"] = { [id("<late>")]: { content: "<late>", special: false } };
    });
    const { metadata } = await exported(path);
    const [tokens, types] = [entryOf(metadata, "tokens") as string[], entryOf(metadata, "token_type") as number[]];
    const kindOf = (content: string) => [tokens[id(content)], types[id(content)]];
    expect([kindOf("<|turn|>"), kindOf("<tool_call>"), kindOf("<late>")]).toEqual([
      ["<|turn|>", 3],
      ["<tool_call>", 4],
      ["<late>", 4],
    ]);
  });

  test("further ends of an answer are those of a turn and of a message, and come back through import", async () => {
    const { path, id } = await withAdded(
      "ends",
      [
        ["<|eom_id|>", true],
        ["<|eot_id|>", true],
      ],
      ["<|eom_id|>", "<|eot_id|>"],
    );
    const { metadata, output, notes } = await exported(path);
    expect([entryOf(metadata, "eot_token_id"), entryOf(metadata, "eom_token_id")]).toEqual([id("<|eot_id|>"), id("<|eom_id|>")]);
    expect(notes).toEqual([]);
    await importGguf(output, scene.path("ends-back"));
    const eos = entryOf(metadata, "eos_token_id");
    expect(scene.json("ends-back", "generation_config.json")["eos_token_id"]).toEqual([eos, id("<|eot_id|>"), id("<|eom_id|>")]);
  });

  test("an end of no known name takes the key of a turn's end, and one more is told", async () => {
    const { path, id } = await withAdded(
      "odd-ends",
      [
        ["<fin>", true],
        ["<stop>", true],
        ["<|im_end|>", true],
      ],
      ["<|im_end|>", "<stop>", "<fin>"],
    );
    const { metadata, notes } = await exported(path);
    expect(entryOf(metadata, "eot_token_id")).toBe(id("<stop>"));
    expect(entryOf(metadata, "eom_token_id")).toBeUndefined();
    expect(notes).toEqual([expect.stringContaining(`answers also end at "<fin>" (${id("<fin>")})`)]);
  });

  test("a file of one end has neither key", async () => {
    const { metadata } = await exported(await scene.model("one-end"));
    expect([entryOf(metadata, "eot_token_id"), entryOf(metadata, "eom_token_id")]).toEqual([undefined, undefined]);
  });
});

describe("a SentencePiece tokenizer as GGUF metadata", () => {
  test("comes back through import as it was, with types for bytes and for the unknown token, and a score per merge", async () => {
    const path = await scene.sentencePieceModel("pieces");
    const { metadata, output, tokenizerModel } = await exported(path);
    expect(tokenizerModel).toBe("llama");
    const source = (await headerOf(`${path}.source.gguf`)).metadata;
    for (const key of ["model", "pre", "tokens", "token_type", "bos_token_id", "eos_token_id", "unknown_token_id"])
      expect([key, entryOf(metadata, key)]).toEqual([key, entryOf(source, key)]);
    expect([entryOf(metadata, "add_bos_token"), entryOf(metadata, "add_space_prefix")]).toEqual([true, true]);
    await importGguf(output, scene.path("pieces-back"));
    expect(scene.json("pieces-back", "tokenizer.json")).toEqual(scene.json("pieces", "tokenizer.json"));
  });

  test.each<
    [what: string, says: string, edit: (tokenizer: Json, model: { vocab: Record<string, number>; merges: [string, string][] }) => void]
  >([
    ["a pair that is no merge", "which llama.cpp would join", (_, model) => model.merges.splice(40, 1)],
    [
      "merges of a token that stand apart",
      "stand apart",
      (_, { merges }) =>
        merges.push(
          ...merges.splice(
            merges.findIndex((pair, i) => pair.join("") === merges[i - 1]?.join("")),
            1,
          ),
        ),
    ],
    [
      "a space only at the start of a text",
      "Metaspace",
      (tokenizer) => {
        tokenizer["normalizer"] = null;
        tokenizer["pre_tokenizer"] = { type: "Metaspace", replacement: "\u2581", prepend_scheme: "first", split: false };
      },
    ],
    ["a byte without a token", "255 of the 256", (_, model) => delete model.vocab["<0x0A>"]],
    [
      "an added token of the normalized text",
      "normalized: true",
      (tokenizer) => {
        const [first] = tokenizer["added_tokens"] as { normalized: boolean }[];
        if (first !== undefined) first.normalized = true;
      },
    ],
    [
      "ignore_merges",
      "ignore_merges",
      (_, model) => {
        Object.assign(model, { ignore_merges: true });
      },
    ],
  ])("is refused for what llama.cpp would split otherwise: %s", async (_what, says, edit) => {
    const path = await scene.sentencePieceModel(`refused-${++made}`);
    change(path, "tokenizer.json", (json) => edit(json, json["model"] as Parameters<typeof edit>[1]));
    const error = await failure(exported(path));
    expect(error).toMatchObject({ code: "EXPORT_UNSUPPORTED", details: { feature: "tokenizer" } });
    expect(error.message).toContain(says);
  });
});
