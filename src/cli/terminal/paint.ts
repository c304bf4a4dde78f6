/** SGR codes: what starts an effect and what ends it. */
const EFFECTS = { bold: [1, 22], dim: [2, 22], red: [31, 39], green: [32, 39], yellow: [33, 39], cyan: [36, 39] } as const;

/** Colours text, or leaves it as it is. */
export type Paint = Readonly<Record<keyof typeof EFFECTS, (text: string) => string>>;

/** A {@link Paint} for a stream that takes colour, or for one that does not. */
export function paint(colour: boolean): Paint {
  const entries = Object.entries(EFFECTS).map(
    ([name, [start, end]]) => [name, (text: string) => (colour && text !== "" ? `\u001b[${start}m${text}\u001b[${end}m` : text)] as const,
  );
  return Object.fromEntries(entries) as unknown as Paint;
}
