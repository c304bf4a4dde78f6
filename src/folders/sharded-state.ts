import { HeirloomError } from "../core/index.ts";

/** State that a trainer spread over its processes, and what gathers it. */
export interface ShardedState {
  /** Who wrote it: `DeepSpeed ZeRO`, `FSDP`. */
  readonly by: string;
  /** The file or folder that told. */
  readonly sign: string;
  /** What to run, from inside the folder, to get plain files. */
  readonly remedy: string;
}

const FSDP_FOLDER = /^pytorch_model_fsdp(?:_\d+)?$/;

/** Recognizes what DeepSpeed and FSDP leave in a checkpoint, by the names in its folder; null if neither wrote it. */
export function shardedState(files: ReadonlySet<string>): ShardedState | null {
  const names = [...files].sort();
  const step = names.find((name) => /^global_step\d+$/.test(name));
  if (step !== undefined || files.has("zero_to_fp32.py")) {
    return {
      by: "DeepSpeed ZeRO",
      sign: step ?? "zero_to_fp32.py",
      remedy: "python zero_to_fp32.py . consolidated --safe_serialization",
    };
  }
  const folder = names.find((name) => FSDP_FOLDER.test(name));
  if (folder !== undefined) return { by: "FSDP", sign: folder, remedy: `accelerate merge-weights ${folder} consolidated` };
  const shard = names.find((name) => name.endsWith(".distcp"));
  if (shard !== undefined) return { by: "FSDP", sign: shard, remedy: "accelerate merge-weights . consolidated" };
  return null;
}

/** Refuses a folder whose weights are only there in pieces. @throws WEIGHTS_SHARDED */
export function refuseShardedState(files: ReadonlySet<string>, where: string): void {
  const found = shardedState(files);
  if (found === null) return;
  throw new HeirloomError("WEIGHTS_SHARDED", `expected weights, found the pieces that ${found.by} left (${found.sign})`, {
    where,
    hint: `gather them first, in that folder: ${found.remedy}`,
  });
}
