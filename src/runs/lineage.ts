import { readFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { isHeirloomError } from "../core/index.ts";
import { openFolder, sha256 } from "../core/node/index.ts";
import { findParent } from "./find-parent.ts";
import { fingerprintModel } from "./fingerprint.ts";
import { type HashedFile, type HashedFiles, hashFile } from "./hashes.ts";
import { RUN_FILES } from "./layout.ts";
import { hasMergeRecord, type MergeRecord, readMergeRecord } from "./merge-record.ts";
import { type ParentRecord, type RunRecord, readRunRecord } from "./record.ts";
import { hashWeightsAt, readRunResult, recordHash } from "./result.ts";
import { comparedFiles, comparedHash, judged, type LinkState, presence, type Verdict } from "./verdict.ts";

/** One link of the chain of hashes. */
export interface LineageLink {
  /** Id of the run whose record says it. */
  readonly run: string;
  /** `base model`, `training data`, `adapter`, `parent adapter` … */
  readonly what: string;
  /** Where it is, or was. */
  readonly path: string;
  readonly state: LinkState;
  /** What was found instead, in words; null if all is well. */
  readonly found: string | null;
}

/** The chain from a run up to what nobody recorded: base → run → adapter → continued run. */
export interface Lineage {
  /** Whether no link is missing, changed, moved or unreadable. */
  readonly ok: boolean;
  /** Ids of the runs, the one asked for first. */
  readonly runs: readonly string[];
  readonly links: readonly LineageLink[];
}

/** How much of it is verified. */
export interface LineageOptions {
  /** False: only whether things are there, without reading them. @defaultValue true */
  readonly hashes?: boolean;
}

const BROKEN: readonly LinkState[] = ["moved", "missing", "changed", "unreadable"];

/** Hash of the chat template that a model's tokenizer brings. */
async function ownTemplate(base: string): Promise<string> {
  // Loaded when it is needed: lists of runs have no use for tokenizers.
  const { loadTokenizer } = await import("../data/index.ts");
  const { chatTemplate } = await loadTokenizer(base);
  return chatTemplate === null ? "none" : sha256(chatTemplate);
}

/** Walks up from a run, link by link. */
class Walk {
  readonly links: LineageLink[] = [];
  readonly runs: string[] = [];
  readonly #hashes: boolean;
  /** Bases and data are often the same all the way up. */
  readonly #once = new Map<string, Promise<string>>();

  constructor(hashes: boolean) {
    this.#hashes = hashes;
  }

  /** @param files what has to be in the folder, if it is one whose files were recorded */
  async #check(run: string, what: string, path: string, check: () => Promise<Verdict>, files: HashedFiles | null = null): Promise<Verdict> {
    const verdict = this.#hashes && !path.includes("://") ? await judged(check) : await presence(path, files);
    this.links.push({ run, what, path, state: verdict.state, found: verdict.found });
    return verdict;
  }

  #hashOnce(key: string, make: () => Promise<string>): Promise<string> {
    const known = this.#once.get(key) ?? make();
    this.#once.set(key, known);
    return known;
  }

  async #model(id: string, what: string, { path, fingerprint }: Pick<RunRecord["base"], "path" | "fingerprint">): Promise<void> {
    await this.#check(id, what, path, async () => {
      const folder = await openFolder(path, { followLinks: true });
      try {
        const now = await this.#hashOnce(`model ${path}`, async () => (await fingerprintModel(folder)).value);
        return comparedHash(fingerprint.value, now);
      } finally {
        await folder.close();
      }
    });
  }

  async #base({ id, base, tokenizer, config }: RunRecord): Promise<void> {
    await this.#model(id, "base model", base);
    const file = (path: string): Promise<string> => this.#hashOnce(path, async () => (await hashFile(path)).sha256);
    const path = join(base.path, "tokenizer.json");
    await this.#check(id, "tokenizer", path, async () => comparedHash(tokenizer.sha256, await file(path)));
    const { template } = config.data;
    await this.#check(id, "chat template", template ?? base.path, async () =>
      comparedHash(
        tokenizer.chatTemplate,
        await (template === null ? this.#hashOnce(`template ${base.path}`, () => ownTemplate(base.path)) : file(template)),
      ),
    );
  }

  async #data(id: string, what: string, files: readonly HashedFile[]): Promise<void> {
    for (const { path, sha256: recorded } of files) {
      await this.#check(id, what, path, async () => {
        const now = await this.#hashOnce(path, async () => (await hashFile(path)).sha256);
        return comparedHash(recorded, now);
      });
    }
  }

  /** What the run made, and its own record, as its result has them. */
  async #output(folder: string, { id }: RunRecord): Promise<void> {
    const result = await readRunResult(folder);
    if (result === null) return;
    const record = join(folder, RUN_FILES.record);
    await this.#check(id, "record", record, async () => comparedHash(result.record, sha256(await readFile(record))));
    const output = join(folder, result.output);
    await this.#check(id, result.output, output, async () => comparedFiles(result.files, await hashWeightsAt(output)), result.files);
  }

  /** The adapter that was continued; gives the folder of the run above, if it is there. */
  async #parent(folder: string, { id }: Pick<RunRecord, "id">, parent: ParentRecord): Promise<string | null> {
    const elsewhere = parent.run === null ? null : join(dirname(folder), parent.run, basename(parent.adapter));
    const { state } = await this.#check(id, "parent adapter", parent.adapter, () => findParent(folder, parent), parent.files);
    await this.#state(id, parent);
    if (parent.run === null) return null;
    const candidates = [dirname(parent.adapter), ...(elsewhere === null ? [] : [dirname(elsewhere)])];
    for (const candidate of candidates) {
      if ((await recordHash(candidate)) === null) continue;
      await this.#check(id, "parent record", join(candidate, RUN_FILES.record), async () =>
        comparedHash(parent.record, (await recordHash(candidate)) ?? ""),
      );
      return candidate;
    }
    if (state !== "missing")
      this.links.push({
        run: id,
        what: "parent run",
        path: dirname(parent.adapter),
        state: "missing",
        found: `no run.json of ${parent.run}`,
      });
    return null;
  }

  /** The state of another trainer's checkpoint, if it was taken up with the adapter. */
  async #state(id: string, { adapter, state }: ParentRecord): Promise<void> {
    for (const [name, recorded] of Object.entries(state ?? {})) {
      const path = join(adapter, name);
      await this.#check(id, "parent state", path, async () => comparedHash(recorded, (await hashFile(path)).sha256));
    }
  }

  /** A merged model; returns the folder of the run that made its adapter. */
  async merged(folder: string): Promise<string | null> {
    const record: MergeRecord = await readMergeRecord(folder);
    const id = basename(folder);
    await this.#check(id, "merged model", folder, async () => comparedFiles(record.files, await hashWeightsAt(folder)), record.files);
    await this.#model(id, "base model", record.base);
    if (record.original !== null) await this.#model(id, "original weights", record.original);
    return this.#parent(folder, { id }, record.adapter);
  }

  /** One run; returns the folder of the run above it. */
  async run(folder: string): Promise<string | null> {
    const record = await readRunRecord(folder);
    this.runs.push(record.id);
    await this.#output(folder, record);
    await this.#base(record);
    await this.#data(record.id, "training data", record.data.train.files);
    for (const [name, set] of Object.entries(record.data.eval)) await this.#data(record.id, `held-out data "${name}"`, set.files);
    return record.parent === null ? null : this.#parent(folder, record, record.parent);
  }
}

/**
 * Verifies the chain of hashes that a run stands in: its record, what it made,
 * its base, tokenizer and data, the adapter that it continued, and so on up.
 * Of a merged model: its weights, its base, the adapter that was merged, and the
 * run that made it, and so on up. Every broken link is told by name.
 *
 * @param run folder of a run, or of a merged model
 * @throws FILE_MISSING, RECORD_INVALID for the run itself; faults further up are links
 */
export async function verifyLineage(run: string, options: LineageOptions = {}): Promise<Lineage> {
  const walk = new Walk(options.hashes ?? true);
  let above = (await hasMergeRecord(run)) ? await walk.merged(run) : await walk.run(run);
  const seen = new Set([run]);
  while (above !== null && !seen.has(above)) {
    const folder: string = above;
    seen.add(folder);
    try {
      above = await walk.run(folder);
    } catch (error) {
      if (!isHeirloomError(error)) throw error;
      const state = error.code === "FILE_MISSING" ? "missing" : "unreadable";
      walk.links.push({ run: basename(folder), what: "record", path: folder, state, found: error.problems[0].message });
      above = null;
    }
  }
  return { ok: !walk.links.some(({ state }) => BROKEN.includes(state)), runs: walk.runs, links: walk.links };
}
