import { HeirloomError } from "../core/index.ts";

/** `prompt=question,completion=answer` as a table. @throws USAGE */
export function parseColumns(text: string): Record<string, string> {
  const pairs = text.split(",").map((pair): [string, string] => {
    const at = pair.indexOf("=");
    const [field, column] = [pair.slice(0, at).trim(), pair.slice(at + 1).trim()];
    if (at > 0 && field !== "" && column !== "") return [field, column];
    throw new HeirloomError("USAGE", `expected field=column, found "${pair}"`, {
      where: "--columns",
      hint: "for example --columns prompt=question,completion=answer",
    });
  });
  return Object.fromEntries(pairs);
}
