import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { parseJson, parsePeftConfig, serializePeftConfig } from "./index.ts";

const FOLDER = join(import.meta.dirname, "../../vectors/peft-banners");
const files = readdirSync(FOLDER, { recursive: true, encoding: "utf8" }).filter((path) => path.endsWith("adapter_config.json"));

it("finds the configurations that PEFT 0.21 wrote", () => {
  expect(files.length).toBeGreaterThanOrEqual(6);
});

it.each(files)("writes %s again, byte for byte, and knows every key", (path) => {
  const text = readFileSync(join(FOLDER, path), "utf8");
  const config = parsePeftConfig(parseJson(text, path), path);
  if (config.kind !== "lora") return expect.unreachable();
  expect(config.unknownKeys).toEqual([]);
  return expect(serializePeftConfig(config)).toBe(text);
});
