import type { LoraPeftConfig, PeftConfig, PeftRelease, StoredTensor, TensorFile } from "../../formats/index.ts";
import type { Ledger } from "../../ledger/index.ts";
import type { ModelSpec } from "../../model/index.ts";
import type { AdapterRecord, Fingerprint } from "../../runs/index.ts";
import type { OptimizerMatch } from "../optimizer-match.ts";
import type { TrainerFiles } from "../trainer-checkpoint.ts";
import type { AdapterKey } from "./keys.ts";

/** How bad a finding is: `error` fails the audit, `warning` does with `--strict`, `note` never does. */
export type Severity = "error" | "warning" | "note";

/** What a rule found, before it is told apart from other rules' findings. */
export interface RuleFinding {
  /** What is wrong and how it shows, one sentence; foreign names in it are printable. */
  readonly message: string;
  /** Keys on disk. */
  readonly tensors?: readonly string[];
  /** What to do, if it is not the rule's remedy. */
  readonly hint?: string;
  /** How bad it is, where more is known than the rule by itself can tell. */
  readonly severity?: Severity;
}

/** A module of the base model that owns a weight. */
export interface BaseModule {
  readonly path: string;
  /** Of the weight; null where it is packed and the file does not tell. */
  readonly shape: readonly number[] | null;
}

/** The base model that was given, as far as its files tell. */
export interface BaseFacts {
  readonly path: string;
  readonly json: Readonly<Record<string, unknown>>;
  /** Null if the architecture is not one that is known here. */
  readonly spec: ModelSpec | null;
  readonly vocabSize: number | null;
  /** Whether the head is the embedding; null if the files do not tell. */
  readonly tied: boolean | null;
  /** What quantized it, as its config.json says; null if nothing did. */
  readonly quantization: string | null;
}

/** An earlier state of the same thing, to compare with. */
export interface PreviousFacts {
  /** What to call it: `checkpoint-1500`. */
  readonly label: string;
  /** Null if it holds a model or another type of adapter. */
  readonly lora: LoraPeftConfig | null;
  readonly weights: TensorFile;
}

/** What the result of a run says was made, held against what is there. */
export interface RunFacts {
  /** Folder of the final adapter or model, inside the run. */
  readonly output: string;
  /** How many files the result names. */
  readonly recorded: number;
  /** Those that are not there. */
  readonly missing: readonly string[];
}

/** A count of trainable parameters that a trainer printed. */
export interface PrintedBanner {
  /** Line of the log, 1-based. */
  readonly line: number;
  /** File that it was printed into; null if it was given by itself. */
  readonly log: string | null;
  readonly text: string;
  readonly trainable: PrintedNumber;
  readonly all: PrintedNumber | null;
}

interface PrintedNumber {
  readonly value: number;
  /** How far off the true number may be, as it was rounded. */
  readonly within: number;
}

/** Values of one tensor, seen once. */
export interface TensorScan {
  readonly isZero: boolean;
  readonly notFinite: number;
}

/** How two tensors of one shape differ. */
export interface TensorDifference {
  readonly elements: number;
  readonly changed: number;
  /** Elements in rows in which anything changed: rows of an embedding whose token never came up have no part in it. */
  readonly elementsOfChangedRows: number;
}

/** Streams values by ranges; what was seen of a tensor is remembered, the values are not. */
export interface ValueReader {
  /** Null if the dtype holds no real numbers of a width that is read. */
  scan(file: TensorFile, name: string): Promise<TensorScan | null>;
  /** Null if shapes differ or a dtype cannot be compared; a wider dtype is rounded to the narrower one first. */
  compare(a: StoredTensor, b: StoredTensor): Promise<TensorDifference | null>;
}

/** What rules judge. A part that is null is not there; `absent` says why. */
export interface AuditSubject extends SubjectParts {
  /** What to call it in messages. */
  readonly label: string;
  readonly weights: TensorFile;
  /** Keys of the weights, read as an adapter's. */
  readonly keys: readonly AdapterKey[];
  readonly absent: Readonly<Partial<Record<Part, string>>>;
}

/** The parts of a subject that may be missing. */
export interface SubjectParts {
  readonly adapter: PeftConfig | null;
  readonly lora: LoraPeftConfig | null;
  /** Set if the subject is a model rather than an adapter. */
  readonly model: BaseFacts | null;
  readonly base: BaseFacts | null;
  /** Modules of the base, from its configuration or its headers. */
  readonly modules: readonly BaseModule[] | null;
  readonly baseWeights: TensorFile | null;
  readonly previous: PreviousFacts | null;
  /** Set with `previous` if its values ought to be other ones. */
  readonly earlier: TensorFile | null;
  readonly ledger: Ledger | null;
  /** Set if the folder is a checkpoint. */
  readonly trainer: TrainerFiles | null;
  readonly optimizer: OptimizerMatch | null;
  readonly tokenizer: { readonly file: string; readonly maxId: number } | null;
  readonly banners: readonly PrintedBanner[] | null;
  readonly record: AdapterRecord | null;
  /** Set for the end of a run that came to it. */
  readonly run: RunFacts | null;
  /** Identifies the weights of the base that was given; set if there is a record to hold it against. */
  readonly baseFingerprint: Fingerprint | null;
  /** The PEFT release that the adapter is to be loaded with. */
  readonly peftRelease: PeftRelease | null;
  readonly values: ValueReader | null;
}

/** Name of a part that a rule can need. */
export type Part = keyof SubjectParts;

/** A subject that has the parts `N`. */
export type SubjectWith<N extends Part> = AuditSubject & { readonly [K in N]: NonNullable<SubjectParts[K]> };

/** One rule of the audit. */
export interface Rule {
  readonly id: string;
  readonly severity: Severity;
  /** What a finding means for the adapter's user. */
  readonly meaning: string;
  /** What to do about it. */
  readonly remedy: string;
  /** Parts without which it is not run. */
  readonly needs: readonly Part[];
  check(subject: AuditSubject): readonly RuleFinding[] | Promise<readonly RuleFinding[]>;
}

/** Gives a rule's check exactly the parts that the rule says it needs. */
export function defineRule<const N extends Part>(
  rule: Omit<Rule, "needs" | "check"> & {
    readonly needs: readonly N[];
    check(subject: SubjectWith<N>): readonly RuleFinding[] | Promise<readonly RuleFinding[]>;
  },
): Rule {
  // The engine runs a rule only on subjects that have all the parts in `needs`.
  return rule;
}
