import { formatCount } from "../../core/index.ts";
import type { ConvertResult } from "../../export/index.ts";
import type { View } from "../command.ts";
import { escapeText, renderFacts } from "../terminal/index.ts";

/** What an adapter was converted to. */
export function convertView({ output, adapter, to, rank, scale, modules, layers, files, notes }: ConvertResult, { paint }: View): string {
  const facts = renderFacts(
    [
      ["converted", `${output} (${files.join(", ")})`],
      ["adapter", adapter],
      ["form", to === "mlx" ? "mlx-lm" : "PEFT"],
      ["matrices", `rank ${rank}, scale ${scale}, ${formatCount(modules)} modules in ${formatCount(layers)} layers`],
    ],
    paint,
  );
  return [facts, ...notes.map((note) => `${paint.yellow("note")} ${escapeText(note)}`)].join("\n\n");
}
