import type { QuantizeResult } from "../../export/index.ts";
import { defineCommand } from "../command.ts";
import { exportNotes } from "../export-notes.ts";
import { pathFrom } from "../paths.ts";

interface Flags {
  readonly output: string;
  readonly doubleQuant: boolean;
}

export const quantize = defineCommand<Flags, [path: string], QuantizeResult>({
  brief: "A model with its linear layers in NF4: a folder that transformers and bitsandbytes load",
  description:
    "Writes a model in 4 bits, in the layout of bitsandbytes: the linear layers of all blocks in NF4 with a scale per 64 weights, everything else as it is. Codes and scales are those that training here makes on load, and those of bitsandbytes.",
  examples: [
    { line: "quantize models/m -o models/m-nf4", what: "a scale of 4 bytes per 64 weights" },
    { line: "quantize models/m -o models/m-nf4 --double-quant", what: "scales in 8 bits" },
  ],
  flags: {
    output: { kind: "parsed", parse: (text: string) => text, placeholder: "folder", brief: "Folder to make, which must not be there yet" },
    doubleQuant: { kind: "boolean", default: false, withNegated: false, brief: "Quantize the scales to 8 bits as well" },
  },
  aliases: { o: "output" },
  positional: { kind: "tuple", parameters: [{ brief: "Folder of a dense model", placeholder: "path", parse: (text: string) => text }] },
  async run({ output, doubleQuant }, [path], { folder, signal, progress }) {
    const { quantizeModel } = await import("../../export/index.ts");
    const request = { path: pathFrom(folder, path), output: pathFrom(folder, output), doubleQuant };
    return quantizeModel(request, { onEvent: exportNotes(progress), signal });
  },
  async render(result, view) {
    const { quantizeView } = await import("../views/quantize.ts");
    return quantizeView(result, view);
  },
});
