// node --import ./tools/register-typescript.mjs tools/export/tokens-in-llama-cpp.ts FOLDER FILE.json [COUNT]
// Exports a model folder to GGUF and writes what llama.cpp makes of mixed, random and repetitive texts with it: { texts, ids },
// for tools/python/check_tokens.py, which holds them against transformers reading the folder.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { exportGguf } from "../../src/export/index.ts";
import { openLlamaCpp, tokensInLlamaCpp } from "./llama-cpp.ts";
import { tokenizerTexts } from "./tokenizer-texts.ts";

const [folder, file, count = "20000"] = process.argv.slice(2);
if (folder === undefined || file === undefined) throw new TypeError("usage: tokens-in-llama-cpp.ts FOLDER FILE.json [COUNT]");
const scratch = mkdtempSync(join(tmpdir(), "heirloom-tokens-"));
const llama = await openLlamaCpp();
try {
  const output = join(scratch, "model.gguf");
  await exportGguf({ path: folder, output }, { inline: true });
  const model = await llama.loadModel({ modelPath: output, gpuLayers: 0, vocabOnly: true });
  const texts = tokenizerTexts(Number(count));
  writeFileSync(file, JSON.stringify({ texts, ids: texts.map((text) => tokensInLlamaCpp(model, text)) }));
  console.log(`${texts.length} texts written to ${file}`);
  await model.dispose();
} finally {
  rmSync(scratch, { recursive: true, force: true });
  await llama.dispose();
}
