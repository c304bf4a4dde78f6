// How long attention takes, as ONNX Runtime's own profiler has it: kernels of the blocks' programs that read or write scores.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

type Peer = typeof import("onnxruntime-node");

interface ProfilerEvent {
  readonly cat: string;
  readonly name: string;
  readonly ts: number;
  readonly dur: number;
  readonly args?: {
    readonly op_name?: string;
    readonly input_type_shape?: readonly Readonly<Record<string, readonly number[]>>[];
    readonly output_type_shape?: readonly Readonly<Record<string, readonly number[]>>[];
  };
}

const KERNEL = "_kernel_time";
/** Queries, keys, values and scores are the tensors with a dimension for heads: [B, H, S, d]. */
const HEADS_RANK = 4;
/** Products of two activations; those with weights are Gemms. */
const ACTIVATION_PRODUCTS: ReadonlySet<string> = new Set(["MatMul", "FusedMatMul"]);

function isAttention({ args }: ProfilerEvent): boolean {
  if (ACTIVATION_PRODUCTS.has(args?.op_name ?? "")) return true;
  const shapes = [...(args?.input_type_shape ?? []), ...(args?.output_type_shape ?? [])].flatMap((each) => Object.values(each));
  return shapes.some((shape) => shape.length >= HEADS_RANK);
}

/** Seconds of attention in the runs from the `skipped`th part on. */
function attentionOf(events: readonly ProfilerEvent[], skipped: number): number {
  const runs = events.filter(({ cat, name }) => cat === "Session" && name === "model_run");
  const first = Math.round(runs.length * skipped);
  const from = runs[first]?.ts ?? Number.POSITIVE_INFINITY;
  const kernels = events.filter((event) => event.cat === "Node" && event.name.endsWith(KERNEL) && event.ts >= from);
  // A graph without a product of activations is not one of a block (the head's softmax is over the vocabulary).
  if (!kernels.some(({ args }) => ACTIVATION_PRODUCTS.has(args?.op_name ?? ""))) return 0;
  return kernels.filter(isAttention).reduce((sum, { dur }) => sum + dur, 0) / 1e6;
}

/** Profiles every session that is made through it. */
export class AttentionTime {
  readonly #folder = mkdtempSync(join(tmpdir(), "heirloom-attention-"));
  readonly #sessions = new Set<{ endProfiling(): void }>();
  #made = 0;

  /** onnxruntime-node, with sessions that write a profile; for `loadRuntime`. */
  readonly importPeer = (): Promise<unknown> => {
    const peer = createRequire(import.meta.url)("onnxruntime-node") as Peer;
    const create = async (model: Uint8Array, options: object): Promise<unknown> => {
      const prefix = join(this.#folder, `session-${this.#made++}`);
      const session = await peer.InferenceSession.create(model, { ...options, enableProfiling: true, profileFilePrefix: prefix });
      this.#sessions.add(session);
      const release = session.release.bind(session);
      // What is released before the end (the self-test's session) is not of interest, and its profile can no longer be ended.
      return Object.assign(session, {
        release: () => {
          this.#sessions.delete(session);
          return release();
        },
      });
    };
    return Promise.resolve({ Tensor: peer.Tensor, env: peer.env, InferenceSession: { create } });
  };

  /** Ends the profiles; seconds of attention in all runs but the first part of them (those of the warm-up). */
  end(skipped: number): number {
    for (const session of this.#sessions) session.endProfiling();
    let seconds = 0;
    for (const file of readdirSync(this.#folder))
      seconds += attentionOf(JSON.parse(readFileSync(join(this.#folder, file), "utf8")) as ProfilerEvent[], skipped);
    rmSync(this.#folder, { recursive: true, force: true });
    return seconds;
  }
}
