// Reads the weights of a folder to their end, as plainly as it goes: prints how long that took.
//
//   node --import ./tools/register-typescript.mjs bench/steps/read-files.ts --model DIR
import { closeSync, openSync, readdirSync, readSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";

const CHUNK_BYTES = 16 << 20;

const { values } = parseArgs({ options: { model: { type: "string", default: "" } } });
const chunk = Buffer.alloc(CHUNK_BYTES);
let bytes = 0;
const began = performance.now();
for (const name of readdirSync(values.model).filter((file) => file.endsWith(".safetensors"))) {
  const file = openSync(join(values.model, name), "r");
  for (let read = -1; read !== 0; bytes += read) read = readSync(file, chunk);
  closeSync(file);
}
const seconds = (performance.now() - began) / 1000;
process.stdout.write(`${JSON.stringify({ seconds, bytes, peak_rss_mib: Math.round(process.resourceUsage().maxRSS / 1024) })}\n`);
