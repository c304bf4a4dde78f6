import type { AdapterFormat, ConvertResult } from "../../export/index.ts";
import { defineCommand } from "../command.ts";
import { textFlag } from "../config-flags.ts";
import { optionalPaths, pathFrom } from "../paths.ts";

interface Flags {
  readonly to: AdapterFormat;
  readonly output: string;
  readonly base?: string;
}

export const convert = defineCommand<Flags, [path: string], ConvertResult>({
  brief: "An adapter of PEFT as one of mlx-lm, or the other way round",
  description:
    "Writes an adapter in another tool's form. The matrices are transposed and no number is changed, so the effect is the same and there and back is what it was. What the other form has no word for is refused by name.",
  examples: [
    { line: "convert runs/a --to mlx -o adapters-mlx", what: "for mlx_lm.generate --adapter-path" },
    { line: "convert adapters-mlx --to peft -o adapter --base models/m", what: "for PEFT, and for heirloom" },
  ],
  flags: {
    to: { kind: "enum", values: ["mlx", "peft"], brief: "Form to write" },
    output: { kind: "parsed", parse: (text: string) => text, placeholder: "folder", brief: "Folder to make, which must not be there yet" },
    base: textFlag("Base model, if the adapter names none or another is meant", "path"),
  },
  aliases: { o: "output" },
  positional: { kind: "tuple", parameters: [{ brief: "Folder of an adapter", placeholder: "path", parse: (text: string) => text }] },
  async run({ to, output, base }, [path], { folder, signal }) {
    const { convertAdapter } = await import("../../export/index.ts");
    return convertAdapter({
      path: pathFrom(folder, path),
      to,
      output: pathFrom(folder, output),
      ...optionalPaths(folder, { base }),
      signal,
    });
  },
  async render(result, view) {
    const { convertView } = await import("../views/convert.ts");
    return convertView(result, view);
  },
});
