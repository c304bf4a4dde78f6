import { HeirloomError } from "../core/index.ts";
import type { AdapterRecord, Fingerprint } from "./record.ts";

/**
 * Refuses an adapter on another base than the one it was trained on.
 * An adapter without a record cannot be checked; that is told as an assumption.
 *
 * @throws BASE_MISMATCH
 */
export function requireSameBase(record: AdapterRecord | null, base: { readonly folder: string; readonly fingerprint: Fingerprint }): void {
  if (record === null || record.base.fingerprint.value === base.fingerprint.value) return;
  throw new HeirloomError(
    "BASE_MISMATCH",
    `expected the base model that the adapter was trained on (${record.base.fingerprint.value.slice(0, 12)}…, then at ${record.base.path}), found another (${base.fingerprint.value.slice(0, 12)}…)`,
    {
      where: base.folder,
      hint: "name the original base with --base; a continuation may be told that it differs: --change base=PATH",
      details: { expected: record.base.fingerprint, found: base.fingerprint },
    },
  );
}
