import { type ByteSource, HeirloomError } from "../core/index.ts";
import { LFS_MARK, MAX_LFS_POINTER_BYTES, refuseLfsPointer } from "./lfs-pointer.ts";
import { readPickle } from "./pickle.ts";
import { type ScannedObject, scanPickle } from "./pickle-scan.ts";
import { MAX_PICKLE_BYTES } from "./pickle-tokens.ts";
import type { PickleValue } from "./pickle-values.ts";
import { printable } from "./printable.ts";
import { type StoredTensor, type TensorFile, tensorFile } from "./tensor-file.ts";
import { isTorchTensor } from "./torch-tensor.ts";
import { torchWorld } from "./torch-world.ts";
import { readZipDirectory, type ZipDirectory, zipDataStart } from "./torch-zip.ts";

/** The number that torch's format before version 1.6 begins with, as its pickle writes it. */
const LEGACY_MAGIC = [0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
const ZIP_MAGIC = [0x50, 0x4b, 0x03, 0x04];
/** `little` or `big`. */
const MAX_BYTE_ORDER_BYTES = 16;
const SAVE_AGAIN = "save it again: torch.save(torch.load(path, weights_only=True), path)";

/** A file of torch.save, with its tensors still on disk. */
export interface TorchFile {
  readonly name: string;
  /** What was saved, as plain values; tensors in it are `TorchTensor`s. */
  readonly value: PickleValue;
}

function startsWith(bytes: Uint8Array, magic: readonly number[]): boolean {
  return magic.every((byte, i) => bytes[i] === byte);
}

function refuse(source: ByteSource, message: string, hint: string): HeirloomError {
  return new HeirloomError("TORCH_FILE_UNSUPPORTED", message, { where: printable(source.name), hint });
}

/** Refuses what is no zip archive, by what it is. */
async function checkMagic(source: ByteSource): Promise<void> {
  const first = await source.read(0, Math.min(source.size, MAX_LFS_POINTER_BYTES));
  if (startsWith(first, ZIP_MAGIC)) return;
  if (first.byteLength >= LFS_MARK.length && source.size < MAX_LFS_POINTER_BYTES)
    refuseLfsPointer(String.fromCharCode(...first), source.name);
  if (startsWith(first, LEGACY_MAGIC)) throw refuse(source, "expected torch's zip format, found the one before torch 1.6", SAVE_AGAIN);
  const isPickle = first[0] === 0x80 && (first[1] ?? 0) >= 2 && (first[1] ?? 0) <= 5;
  if (isPickle) throw refuse(source, "expected torch's zip format, found a bare Python pickle", "only files of torch.save are read");
  throw new HeirloomError("TORCH_FILE_INVALID", "expected a file of torch.save (a zip archive), found something else", {
    where: printable(source.name),
    hint: "check that this is a .pt, .pth or .bin file and that the download is complete",
  });
}

interface TorchArchive {
  readonly source: ByteSource;
  readonly directory: ZipDirectory;
  /** Name of the folder that everything lies in, with its slash. */
  readonly root: string;
  readonly pickle: Uint8Array;
}

/** All of a small entry; `undefined` if there is none. */
async function readEntry(source: ByteSource, directory: ZipDirectory, name: string, maxBytes: number): Promise<Uint8Array | undefined> {
  const entry = directory.entries.get(name);
  if (entry === undefined) return undefined;
  if (entry.size > maxBytes) {
    throw new HeirloomError("TORCH_FILE_INVALID", `${printable(name)}: expected at most ${maxBytes} bytes, found ${entry.size}`, {
      where: printable(source.name),
    });
  }
  const start = await zipDataStart(source, directory, entry);
  return source.read(start, start + entry.size);
}

async function openArchive(source: ByteSource): Promise<TorchArchive> {
  await checkMagic(source);
  const directory = await readZipDirectory(source);
  const names = [...directory.entries.keys()];
  const pickleName = names.find((name) => /^[^/]+\/data\.pkl$/.test(name));
  if (pickleName === undefined) {
    throw new HeirloomError("TORCH_FILE_INVALID", "expected data.pkl in the archive, found none", {
      where: printable(source.name),
      hint: "this zip archive was not written by torch.save",
    });
  }
  const root = pickleName.slice(0, -"data.pkl".length);
  if (directory.entries.has(`${root}constants.pkl`))
    throw refuse(source, "expected saved tensors, found a TorchScript program", "save its state_dict() with torch.save");
  const order = await readEntry(source, directory, `${root}byteorder`, MAX_BYTE_ORDER_BYTES);
  if (order !== undefined && new TextDecoder().decode(order).trim() !== "little")
    throw refuse(source, "expected little-endian data, found another byte order", "save the file on a little-endian machine");
  const pickle = await readEntry(source, directory, pickleName, MAX_PICKLE_BYTES);
  return { source, directory, root, pickle: pickle ?? new Uint8Array(0) };
}

/** The storages of an archive; where each one begins is looked up when it is first read. */
function storagesOf({ source, directory, root }: TorchArchive): (key: string) => ByteSource | undefined {
  const known = new Map<string, ByteSource>();
  return (key) => {
    const entry = directory.entries.get(`${root}data/${key}`);
    if (entry === undefined) return undefined;
    let start: Promise<number> | undefined;
    const storage = known.get(key) ?? {
      name: `${source.name} (data/${key})`,
      size: entry.size,
      async read(from: number, to: number) {
        start ??= zipDataStart(source, directory, entry);
        const base = await start;
        if (from < 0 || to < from || to > entry.size)
          throw new HeirloomError("FILE_UNREADABLE", `bytes ${from} to ${to} were asked of ${entry.size}`, {
            where: printable(source.name),
          });
        return source.read(base + from, base + to);
      },
    };
    known.set(key, storage);
    return storage;
  };
}

/**
 * Reads a file of `torch.save` (zip format, torch 1.6 and later): its structure
 * now, its tensors on demand. No class is looked up and no code is run; a pickle
 * that names anything but tensors and plain values is refused.
 *
 * @throws TORCH_FILE_INVALID, TORCH_FILE_UNSUPPORTED, PICKLE_INVALID, PICKLE_UNSAFE, LFS_POINTER
 * @example
 * const { value } = await readTorchFile(await openFile("checkpoint-10/optimizer.pt"));
 */
export async function readTorchFile(source: ByteSource): Promise<TorchFile> {
  const archive = await openArchive(source);
  return { name: source.name, value: readPickle(archive.pickle, source.name, torchWorld(source.name, storagesOf(archive))) };
}

/**
 * The class and plain fields of an object that was saved with `torch.save`, such
 * as Trainer's training_args.bin. The object itself is never built.
 *
 * @throws TORCH_FILE_INVALID, TORCH_FILE_UNSUPPORTED, PICKLE_INVALID, PICKLE_UNSAFE, LFS_POINTER
 */
export async function scanTorchObject(source: ByteSource): Promise<ScannedObject | null> {
  const archive = await openArchive(source);
  return scanPickle(archive.pickle, source.name);
}

/** What was saved instead of a state dict: a training state keeps it under a key of its own. */
function contentText(value: PickleValue): string {
  if (!(value instanceof Map)) return isTorchTensor(value) ? "one tensor" : "something else";
  const keys = [...(value as ReadonlyMap<PickleValue, PickleValue>).keys()].filter((key) => typeof key === "string");
  return keys.length === 0
    ? "an empty one"
    : `one of ${keys
        .slice(0, 6)
        .map((key) => printable(key, 40))
        .join(", ")}`;
}

/**
 * Opens a saved state dict (adapter_model.bin, pytorch_model.bin) as tensors by name.
 *
 * @throws as {@link readTorchFile}; TORCH_FILE_INVALID if it is no dict of tensors
 */
export async function openTorchTensors(source: ByteSource): Promise<TensorFile> {
  const { value } = await readTorchFile(source);
  const tensors = new Map<string, StoredTensor>();
  for (const [name, tensor] of value instanceof Map ? (value as ReadonlyMap<PickleValue, PickleValue>) : []) {
    if (typeof name !== "string" || !isTorchTensor(tensor)) continue;
    tensors.set(name, { name, dtype: tensor.dtype, shape: tensor.shape, start: 0, end: tensor.source.size, source: tensor.source });
  }
  if (tensors.size === 0) {
    throw new HeirloomError("TORCH_FILE_INVALID", `expected a dict of tensors by name, found ${contentText(value)}`, {
      where: printable(source.name),
      hint: "save the state dict by itself: torch.save(model.state_dict(), path), or from a training state its part that holds the weights",
    });
  }
  return tensorFile(source.name, tensors, {});
}
