import { brotliDecompressSync, gunzipSync } from "node:zlib";
import type { Compressors } from "hyparquet";
import { MAX_PAGE_BYTES } from "./parquet-pages.ts";
import { containerFault } from "./reader.ts";

type Decompress = (input: Uint8Array, outputLength: number) => Uint8Array;

/** None is asked for more than a page's worth, nor gives more or less than it was asked for. */
function bounded(name: string, decompress: Decompress): Decompress {
  return (input, outputLength) => {
    if (outputLength > MAX_PAGE_BYTES || outputLength < 0)
      throw containerFault(name, `expected a page of at most ${MAX_PAGE_BYTES} bytes, found one of ${outputLength}`);
    const output = decompress(input, outputLength);
    if (output.length !== outputLength)
      throw containerFault(name, `expected ${outputLength} bytes, found ${input.length} that become ${output.length}`);
    return output;
  };
}

/**
 * The decompressors of pages by their name in the format. zstd is zstd's own code: fzstd 0.1, which hyparquet-compressors
 * brings, runs without an end on some damaged frames. gzip and Brotli are Node's.
 */
export async function pageDecompressors(): Promise<Compressors> {
  const [{ decompressLz4, decompressLz4Raw, decompressSnappy }, { ZSTDDecoder }] = await Promise.all([
    import("hyparquet-compressors"),
    import("zstddec"),
  ]);
  const zstd = new ZSTDDecoder();
  await zstd.init();
  const all: Readonly<Record<string, Decompress>> = {
    SNAPPY: decompressSnappy,
    GZIP: (input, length) => gunzipSync(input, { maxOutputLength: Math.max(1, length) }),
    BROTLI: (input, length) => brotliDecompressSync(input, { maxOutputLength: Math.max(1, length) }),
    ZSTD: (input, length) => (length === 0 ? new Uint8Array(0) : zstd.decode(input, length)),
    LZ4: decompressLz4,
    LZ4_RAW: decompressLz4Raw,
  };
  return Object.fromEntries(Object.entries(all).map(([name, decompress]) => [name, bounded(name, decompress)]));
}
