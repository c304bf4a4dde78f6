import { basename } from "node:path";
import { formatBytes } from "../../core/index.ts";
import type { ImportDtype, ImportResult } from "../../export/import/index.ts";
import { defineCommand } from "../command.ts";
import { pathFrom } from "../paths.ts";

interface Flags {
  readonly output: string;
  readonly dtype: ImportDtype;
}

const DTYPES = ["bf16", "fp16", "fp32"] as const;
/** A note on stderr each time that this much more of the weights has been done; a model of 8B takes minutes. */
const NOTE_SHARE = 0.1;
/** Below this there is nothing to wait for. */
const NOTE_BYTES = 1e9;

export const importCommand = defineCommand<Flags, [path: string], ImportResult>({
  brief: "A base model from a GGUF file: a model folder with config, tokenizer and weights",
  description:
    "Makes a normal model folder (config.json, model.safetensors, tokenizer.json, chat template) of a GGUF file of the LLaMA family. Blocks are dequantized as llama.cpp does; what they lost when they were quantized stays lost.",
  examples: [
    { line: "import SmolLM2-135M-Instruct.Q4_1.gguf -o models/smollm2", what: "weights as bf16" },
    { line: "import model.gguf -o models/m --dtype fp32", what: "every value exactly as llama.cpp has it" },
  ],
  flags: {
    output: { kind: "parsed", parse: (text: string) => text, placeholder: "folder", brief: "Folder to write, which must not be there yet" },
    dtype: { kind: "enum", values: DTYPES, default: "bf16", brief: "What the weights are written as" },
  },
  aliases: { o: "output" },
  positional: { kind: "tuple", parameters: [{ brief: "A GGUF file", placeholder: "file", parse: (text: string) => text }] },
  async run({ output, dtype }, [path], { folder, signal, progress }) {
    const { importGguf } = await import("../../export/import/index.ts");
    let noted = 0;
    return importGguf(pathFrom(folder, path), pathFrom(folder, output), {
      dtype,
      signal,
      onProgress({ tensor, doneBytes, bytes }) {
        if (bytes < NOTE_BYTES || doneBytes / bytes < noted + NOTE_SHARE) return;
        noted = doneBytes / bytes;
        progress.note(`${formatBytes(doneBytes)} of ${formatBytes(bytes)} read, at ${basename(tensor)}`);
      },
    });
  },
  async render(result, view) {
    const { importView } = await import("../views/import.ts");
    return importView(result, view);
  },
});
