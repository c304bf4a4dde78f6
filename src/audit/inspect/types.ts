import type { PathKind } from "../../folders/index.ts";
import type { LedgerBasis, LedgerCounts, LedgerEntry, peftBanners, Role } from "../../ledger/index.ts";
import type { RecordedGroup } from "../recorded-groups.ts";
import type { InspectedCheckpoint } from "../trainer-checkpoint-ledger.ts";
import type { InspectedAdapter } from "./inspected-adapter.ts";

/** Where the thing came from, as its files tell. */
export interface InspectedProvenance {
  readonly baseModel: string | null;
  readonly revision: string | null;
  readonly peftVersion: string | null;
  /** Base folder that was given for the counts. */
  readonly base: string | null;
  /** Run and update that it was saved in, where a record tells. */
  readonly run: string | null;
  readonly step: number | null;
}

/** One tensor of the ledger. */
export interface InspectedTensor extends Omit<LedgerEntry, "parameters" | "state"> {
  readonly parameters: number;
}

/** The fields of `inspect --json`. */
export interface InspectResult {
  readonly kind: PathKind;
  readonly path: string;
  /** Class name in the model's config.json; null if it is not known without `--base`. */
  readonly architecture: string | null;
  readonly adapter: InspectedAdapter | null;
  readonly counts: { readonly basis: LedgerBasis } & LedgerCounts;
  readonly banner: { readonly peft: ReturnType<typeof peftBanners>; readonly unsloth: string } | null;
  /** Why there is no banner. */
  readonly bannerReason: string | null;
  readonly bytes: { readonly onDisk: number; readonly byRole: Readonly<Partial<Record<Role, number>>> };
  /** What the trainer left beside the weights of a checkpoint; null for anything else. */
  readonly checkpoint: InspectedCheckpoint | null;
  /** Learning-rate groups, where a record or an optimizer's file tells them. */
  readonly groups: readonly RecordedGroup[];
  readonly tensors: readonly InspectedTensor[];
  readonly provenance: InspectedProvenance;
  /** What a reader should know about the figures. */
  readonly notes: readonly string[];
}

/** What may be given beside the path. */
export interface InspectOptions {
  /** Folder of the base model, or its config.json. @defaultValue the one that the adapter's own record names, if it is there */
  readonly base?: string;
}
