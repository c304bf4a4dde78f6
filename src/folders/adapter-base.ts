import type { AdapterSpec } from "../adapter/index.ts";
import { HeirloomError } from "../core/index.ts";
import type { AdapterRecord } from "../runs/index.ts";

/** What an opened adapter says of its base. */
interface OfBase {
  readonly folder: { readonly name: string };
  readonly spec: Pick<AdapterSpec, "baseModel">;
  readonly record: Pick<AdapterRecord, "base"> | null;
}

/**
 * Where the base of an adapter is: the one named, else that of its record, else that of its configuration.
 *
 * @throws FILE_MISSING if none of them names one
 */
export function basePathOf({ folder, spec, record }: OfBase, named: string | undefined): string {
  const path = named ?? record?.base.path ?? spec.baseModel ?? "";
  if (path !== "") return path;
  throw new HeirloomError("FILE_MISSING", "the adapter does not say which base model it belongs to", {
    where: folder.name,
    hint: "name it with --base",
  });
}
