// Preloaded into the measured process: says at its end how much memory it took, and how much it read of files under SCENE.
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";

const scene = process.env.SCENE ?? "";
const watched = new Set();
let bytesRead = 0;
const { openSync, readSync, read } = fs;
fs.openSync = (path, ...rest) => {
  const fd = openSync(path, ...rest);
  if (String(path).startsWith(scene)) watched.add(fd);
  else watched.delete(fd);
  return fd;
};
fs.readSync = (fd, ...rest) => {
  const count = readSync(fd, ...rest);
  if (watched.has(fd)) bytesRead += count;
  return count;
};
// With its symbols: one of them tells promisify what to give back.
fs.read = Object.defineProperties((fd, ...rest) => {
  const done = rest.pop();
  return read(fd, ...rest, (error, count, ...others) => {
    if (watched.has(fd)) bytesRead += count ?? 0;
    done(error, count, ...others);
  });
}, Object.getOwnPropertyDescriptors(read));
syncBuiltinESMExports();
process.on("exit", () => process.stderr.write(`\n@observed ${JSON.stringify({ bytesRead, maxRssKib: process.resourceUsage().maxRSS })}\n`));
