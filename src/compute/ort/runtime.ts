import { HeirloomError, type Trace } from "../../core/index.ts";
import type { Graph } from "../graph/index.ts";
import { compileObserved } from "./observed-program.ts";
import { loadPeer, type Peer } from "./peer.ts";
import { type CompileOptions, compileProgram, type Device, type OutputCopy, type Program } from "./program.ts";
import { outputCopyFault } from "./self-test.ts";

/** Which runtime is loaded, and how its outputs reach the caller's arrays. */
export interface RuntimeOptions {
  /** @defaultValue "cpu" */
  readonly device?: Device;
  /**
   * `auto` avoids the copies if a self-test of a few milliseconds shows that this works here.
   * @defaultValue the environment variable HEIRLOOM_OUTPUT_COPY, else `auto`
   */
  readonly outputCopy?: OutputCopy | "auto";
  /** Hears of every compilation and run; the kernels of each program's first runs are timed for it. @defaultValue nobody */
  readonly trace?: Trace;
}

/** An onnxruntime-node that has been loaded and tried. */
export interface Runtime {
  /** Version of onnxruntime-node. */
  readonly version: string;
  readonly device: Device;
  /** Which of the two ways programs of this runtime take. */
  readonly outputCopy: OutputCopy;
  /** What hears of the runs of its programs. */
  readonly trace?: Trace;
  /** @throws COMPUTE_FAILED if the runtime refuses the graph */
  compile(graph: Graph, options?: CompileOptions): Promise<Program>;
}

/**
 * Loads onnxruntime-node and finds out how to run programs on it.
 *
 * @param importPeer replaced by tests only
 * @throws PEER_MISSING if it is not installed; COMPUTE_FAILED if it does not compute as it must
 */
export async function loadRuntime(options: RuntimeOptions = {}, importPeer?: () => Promise<unknown>): Promise<Runtime> {
  const { device = "cpu", trace } = options;
  const wanted = options.outputCopy ?? outputCopyFromEnvironment();
  const { peer, version } = await loadPeer(importPeer);
  const outputCopy = await chooseOutputCopy(peer, device, wanted, version);
  return Object.freeze<Runtime>({
    version,
    device,
    outputCopy,
    ...(trace === undefined ? {} : { trace }),
    compile(graph, compileOptions = {}) {
      if (trace?.isOn !== true) return compileProgram(peer, device, outputCopy, graph, compileOptions);
      return compileObserved(trace, graph, compileOptions, (profiling) =>
        compileProgram(peer, device, outputCopy, graph, compileOptions, profiling),
      );
    },
  });
}

function outputCopyFromEnvironment(): OutputCopy | "auto" {
  const value = process.env["HEIRLOOM_OUTPUT_COPY"] ?? "auto";
  if (value === "auto" || value === "avoided" || value === "ordinary") return value;
  throw new HeirloomError("CONFIG_INVALID", `expected auto, avoided or ordinary, found ${value}`, {
    where: "HEIRLOOM_OUTPUT_COPY",
    hint: "unset it",
  });
}

async function chooseOutputCopy(peer: Peer, device: Device, wanted: OutputCopy | "auto", version: string): Promise<OutputCopy> {
  const order: readonly OutputCopy[] = wanted === "auto" ? ["avoided", "ordinary"] : [wanted];
  let fault: unknown;
  for (const outputCopy of order) {
    fault = await outputCopyFault(peer, device, outputCopy);
    if (fault === undefined) return outputCopy;
  }
  throw new HeirloomError(
    "COMPUTE_FAILED",
    `onnxruntime-node ${version} did not write the right values into the output arrays that it was given`,
    {
      hint:
        wanted === "avoided" ? "unset HEIRLOOM_OUTPUT_COPY, or set it to ordinary" : "npm install --ignore-scripts onnxruntime-node@1.30.0",
      details: { outputCopy: wanted, version, fault: String(fault) },
      cause: fault,
    },
  );
}
