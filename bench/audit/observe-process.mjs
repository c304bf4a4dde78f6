// Preloaded into the measured process: says at its end how much memory it took, and how much it read of files under SCENE.
import fs from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";

const scene = process.env.SCENE ?? "";
let bytesRead = 0;
const open = fs.open;
fs.open = async (path, ...rest) => {
  const handle = await open(path, ...rest);
  if (!String(path).startsWith(scene)) return handle;
  const read = handle.read.bind(handle);
  handle.read = async (...args) => {
    const result = await read(...args);
    bytesRead += result.bytesRead;
    return result;
  };
  return handle;
};
syncBuiltinESMExports();
process.on("exit", () => process.stderr.write(`\n@observed ${JSON.stringify({ bytesRead, maxRssKib: process.resourceUsage().maxRSS })}\n`));
