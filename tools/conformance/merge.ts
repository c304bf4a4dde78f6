/** Why merges are not compared. */
export const MERGE_UNSUPPORTED = "merging an adapter into its base is not built yet";
