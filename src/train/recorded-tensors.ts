import { adapterTensors, resolveForEngine } from "../adapter/index.ts";
import { formatCount, HeirloomError, listNames } from "../core/index.ts";
import type { AdapterFolder } from "../folders/index.ts";
import type { ModelSpec } from "../model/index.ts";

/** Names of one kind that a message lists. */
const MOST_NAMED = 8;

/**
 * Refuses an adapter whose adapter_config.json no longer means the tensors that its record says were trained: what it left
 * out would freeze. The live model is compared with the record later; this comes before anything is built on the file's word.
 *
 * @throws LEDGER_MISMATCH
 */
export function requireRecordedTensors(spec: ModelSpec, { spec: adapter, record, folder }: AdapterFolder): void {
  if (record === null) return;
  const meant = new Set(
    adapterTensors(resolveForEngine(spec, adapter)).flatMap(({ liveName, aliasOf }) => (aliasOf === undefined ? [liveName] : [])),
  );
  const trained = new Set(record.trainable.map(({ name }) => name));
  const frozen = [...trained].filter((name) => !meant.has(name));
  const added = [...meant].filter((name) => !trained.has(name));
  if (frozen.length === 0 && added.length === 0) return;
  const parts = [
    ...(frozen.length === 0 ? [] : [`would freeze: ${listNames(frozen, MOST_NAMED)}`]),
    ...(added.length === 0 ? [] : [`would train besides: ${listNames(added, MOST_NAMED)}`]),
  ];
  throw new HeirloomError(
    "LEDGER_MISMATCH",
    `expected the ${formatCount(trained.size)} tensors that were trained, as recorded, found an adapter_config.json that means others; it ${parts.join("; it ")}`,
    {
      where: folder.name,
      hint: "go back to the files of its run, or delete its heirloom.json to continue it as it is now",
      details: { frozen, added },
    },
  );
}
