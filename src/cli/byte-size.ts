import { HeirloomError } from "../core/index.ts";

const UNITS: Readonly<Record<string, number>> = {
  "": 1,
  b: 1,
  k: 2 ** 10,
  kib: 2 ** 10,
  kb: 1e3,
  m: 2 ** 20,
  mib: 2 ** 20,
  mb: 1e6,
  g: 2 ** 30,
  gib: 2 ** 30,
  gb: 1e9,
  t: 2 ** 40,
  tib: 2 ** 40,
  tb: 1e12,
};

/** A size without a unit below this is a number whose unit was left out: no machine has so few bytes. */
const MIN_PLAIN_BYTES = 2 ** 20;

/** Bytes of a size as people write it: `16GiB`, `16G` (both binary), `16GB` (decimal), `1.5 TiB`. @throws USAGE */
export function parseByteSize(text: string, flag: string): number {
  const [, digits = "", unit = ""] = /^\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*$/i.exec(text) ?? [];
  const factor = UNITS[unit.toLowerCase()];
  const bytes = Math.floor(Number(digits) * (factor ?? 0));
  if (digits === "" || factor === undefined || bytes <= 0) {
    throw new HeirloomError("USAGE", `expected a size such as 16GiB, found "${text}"`, {
      where: flag,
      hint: "units: KiB, MiB, GiB and TiB, or KB, MB, GB and TB",
    });
  }
  if (unit === "" && bytes < MIN_PLAIN_BYTES) {
    throw new HeirloomError("USAGE", `expected a size with its unit, found "${text}"`, { where: flag, hint: `did you mean ${digits}GiB?` });
  }
  return bytes;
}
