import { formatBytes, HeirloomError, readText } from "../core/index.ts";
import { openFile } from "../core/node/index.ts";

/** Longest log that is read; a day of training prints a few megabytes. */
const MAX_LOG_BYTES = 64 * 1024 * 1024;

/** The text of a log file. @throws USAGE for one that is too long */
export async function readLog(path: string): Promise<string> {
  const source = await openFile(path);
  try {
    if (source.size > MAX_LOG_BYTES) {
      throw new HeirloomError(
        "USAGE",
        `the log holds ${formatBytes(source.size)}, of which at most ${formatBytes(MAX_LOG_BYTES)} are read`,
        {
          where: path,
          hint: `grep -i 'trainable param' it, and give those lines`,
        },
      );
    }
    return await readText(source);
  } finally {
    await source.close();
  }
}
