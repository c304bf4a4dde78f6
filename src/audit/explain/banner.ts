import { HeirloomError, ProblemList } from "../../core/index.ts";

/** A count as a trainer printed it. */
export interface PrintedCount {
  readonly value: number;
  /** How far off the true count may be: 0, or half a unit of the last digit of `3.408M`. */
  readonly within: number;
}

/** A share as printed: `1.81` has two decimals. */
export interface PrintedPercent {
  readonly value: number;
  readonly decimals: number;
}

/** Who prints such a line; `numbers` is bare numbers. */
export type BannerForm = "peft" | "unsloth" | "mlx-lm" | "count" | "numbers";

/** One line of a trainer that says how much it trains. */
export interface Banner {
  readonly form: BannerForm;
  /** The line, 1-based. */
  readonly line: number;
  readonly text: string;
  readonly trainable: PrintedCount;
  readonly all: PrintedCount | null;
  readonly percent: PrintedPercent | null;
}

const NUMBER = String.raw`\d[\d,_]*(?:\.\d+)?(?:\s?[KMB])?(?![\w.,]*\d)`;
const PERCENT = String.raw`\d+(?:\.\d+)?(?:e-?\d+)?`;
// "Non-trainable params" is another number.
const HEAD = /(?<!non[- ]?)\btrainable\s+param(?:eter)?s\s*[:=]\s*/gi;
const AT_START = new RegExp(`^(${NUMBER})`, "i");
const MLX = new RegExp(String.raw`^(${PERCENT})\s*%\s*\(\s*(${NUMBER})\s*/\s*(${NUMBER})\s*\)`, "i");
const ALL_LABELLED = new RegExp(String.raw`\b(?:all|total)\s+param(?:eter)?s\s*[:=]\s*(${NUMBER})`, "i");
const ALL_BESIDE = new RegExp(String.raw`^\s*(?:out\s+of|of|/)\s*(${NUMBER})`, "i");
const PERCENT_LABELLED = new RegExp(String.raw`\btrainable\s*%\s*[:=]\s*(${PERCENT})`, "i");
const PERCENT_MARKED = new RegExp(String.raw`(?<![\d.])(${PERCENT})\s*%`, "i");
const BARE = new RegExp(
  String.raw`^\s*(${NUMBER})(?:\s*(?:out\s+of|of|and|/|\|\||;|,\s|\s)\s*(${NUMBER}))?(?:\s*(?:\|\||;|,)?\s*\(?\s*(${PERCENT})\s*%[^\d]*)?\s*$`,
  "i",
);
// Pasted logs carry colour codes.
const COLOUR = /\u001b\[[\d;]*m/g;
const UNITS: Readonly<Record<string, number>> = { K: 1e3, M: 1e6, B: 1e9 };
/** Longest log that is searched; a day of training prints a few megabytes. */
const MAX_CHARACTERS = 64 * 1024 * 1024;

const HINT =
  'give a line such as "trainable params: 167,772,160 || all params: 9,248,706,560 || trainable%: 1.8140", "Trainable parameters = 167,772,160 of 9,248,706,560 (1.81% trained)", or the two numbers';

/** `167,772,160` or `3.408M`; null if it is neither. */
function readCount(text: string): PrintedCount | null {
  const unit = UNITS[text.at(-1)?.toUpperCase() ?? ""];
  if (unit !== undefined) {
    const digits = text.slice(0, -1).trim().replaceAll(/[,_]/g, "");
    const decimals = digits.split(".")[1]?.length ?? 0;
    const step = unit / 10 ** decimals;
    return { value: Math.round(Number(digits) * unit), within: Math.max(0, Math.floor(step / 2)) };
  }
  const trimmed = text.replace(/[,_]+$/, "");
  if (!/^(?:\d{1,3}(?:[,_]\d{3})+|\d+)$/.test(trimmed)) return null;
  return { value: Number(trimmed.replaceAll(/[,_]/g, "")), within: 0 };
}

function readPercent(text: string | undefined): PrintedPercent | null {
  if (text === undefined) return null;
  const [mantissa = "", exponent = "0"] = text.toLowerCase().split("e");
  return { value: Number(text), decimals: Math.max(0, (mantissa.split(".")[1]?.length ?? 0) - Number(exponent)) };
}

interface Parts {
  readonly form: BannerForm;
  readonly trainable: string;
  readonly all: string | undefined;
  readonly percent: string | undefined;
}

/** What follows the words "trainable params:"; null if that is no number. */
function partsOf(head: string, rest: string): Parts | null {
  const mlx = MLX.exec(rest);
  if (mlx?.[2] !== undefined) return { form: "mlx-lm", trainable: mlx[2], all: mlx[3], percent: mlx[1] };
  const trainable = AT_START.exec(rest)?.[1];
  if (trainable === undefined) return null;
  const after = rest.slice(trainable.length);
  const beside = ALL_BESIDE.exec(after)?.[1];
  const labelled = ALL_LABELLED.exec(after)?.[1];
  const percent = (PERCENT_LABELLED.exec(after) ?? PERCENT_MARKED.exec(after))?.[1];
  const equals = head.includes("=");
  const form = beside !== undefined ? "unsloth" : equals && labelled === undefined ? "count" : "peft";
  return { form, trainable, all: beside ?? labelled, percent };
}

function bannerOf(parts: Parts, line: number, text: string, problems: ProblemList): Banner | null {
  const where = `line ${line}`;
  const counts = [parts.trainable, parts.all].map((printed) => {
    if (printed === undefined) return null;
    const count = readCount(printed);
    if (count === null || !Number.isSafeInteger(count.value)) {
      problems.add("USAGE", `expected a whole number such as 167,772,160, found "${printed}"`, { where, hint: HINT });
    }
    return count;
  });
  const [trainable = null, all = null] = counts;
  const percent = readPercent(parts.percent);
  if (trainable === null) return null;
  if (all !== null && trainable.value - trainable.within > all.value + all.within) {
    problems.add("USAGE", `more is trained (${parts.trainable}) than there is (${parts.all ?? ""})`, {
      where,
      hint: "give the trained count first, then that of all parameters",
    });
  }
  if (percent !== null && !(percent.value <= 100)) {
    problems.add("USAGE", `expected a share of at most 100 %, found ${parts.percent ?? ""} %`, { where, hint: HINT });
  }
  return { form: parts.form, line, text, trainable, all, percent };
}

/** Lines with their numbers; a line that ends or goes on with `||` is one with its neighbour. */
function logicalLines(text: string): { line: number; text: string }[] {
  const lines: { line: number; text: string }[] = [];
  text.split(/\r\n|[\r\n]/).forEach((part, at) => {
    const last = lines.at(-1);
    if (last !== undefined && (/\|\|\s*$/.test(last.text) || /^\s*\|\|/.test(part))) last.text += ` ${part.trim()}`;
    else lines.push({ line: at + 1, text: part });
  });
  return lines;
}

function bannersOfLine(line: number, text: string, problems: ProblemList): Banner[] {
  const heads = [...text.matchAll(HEAD)];
  return heads.flatMap((head, at) => {
    const end = heads[at + 1]?.index ?? text.length;
    const parts = partsOf(head[0], text.slice(head.index + head[0].length, end));
    const banner = parts === null ? null : bannerOf(parts, line, text.slice(head.index, end).trim(), problems);
    return banner === null ? [] : [banner];
  });
}

/** True if one says nothing that the other contradicts: the same line printed twice, or with less in it. */
function agree(a: Banner, b: Banner): boolean {
  const same = (x: { value: number } | null, y: { value: number } | null) => x === null || y === null || x.value === y.value;
  return same(a.trainable, b.trainable) && same(a.all, b.all) && (same(a.percent, b.percent) || (a.all !== null && b.all !== null));
}

function withoutRepeats(banners: readonly Banner[]): Banner[] {
  const kept: Banner[] = [];
  for (const banner of banners) {
    const last = kept.at(-1);
    if (last === undefined || !agree(last, banner)) kept.push(banner);
    else kept[kept.length - 1] = { ...last, all: last.all ?? banner.all, percent: last.percent ?? banner.percent };
  }
  return kept;
}

/**
 * Finds what trainers said of their trainable parameters: PEFT's line, both of
 * Unsloth's, the Trainer's, mlx-lm's, anywhere in a log; or bare numbers. A line
 * that repeats the one before it counts once.
 *
 * @returns in the order of the text, at least one
 * @throws USAGE if there is none, or if a line contradicts itself
 * @example
 * const [banner] = parseBanners("trainable params: 167,772,160 (1.81%)");
 */
export function parseBanners(text: string): readonly [Banner, ...Banner[]] {
  if (text.length > MAX_CHARACTERS) {
    throw new HeirloomError("USAGE", `the log is longer than ${MAX_CHARACTERS} characters`, { hint: "give the lines with the counts" });
  }
  const problems = new ProblemList();
  const plain = text.replaceAll(COLOUR, "");
  const found = logicalLines(plain).flatMap(({ line, text: part }) => bannersOfLine(line, part, problems));
  if (found.length === 0) {
    const bare = BARE.exec(plain);
    const [, trainable, all, percent] = bare ?? [];
    const banner = trainable === undefined ? null : bannerOf({ form: "numbers", trainable, all, percent }, 1, plain.trim(), problems);
    if (banner !== null) found.push(banner);
  }
  problems.throwIfAny();
  const [first, ...rest] = withoutRepeats(found);
  if (first === undefined) {
    throw new HeirloomError("USAGE", "no count of trainable parameters was found in the text", { hint: HINT });
  }
  return [first, ...rest];
}
