import type { InferenceSession, Tensor } from "onnxruntime-node";
import { HeirloomError, InternalError, nearestName } from "../../core/index.ts";
import type { Graph, Node, TensorType } from "../graph/index.ts";
import { lowerToOnnx } from "../onnx/index.ts";
import type { Peer } from "./peer.ts";
import { checkTensorData, type TensorData } from "./tensors.ts";

/** Where programs run. One today; `lowerToOnnx` and the types know nothing of it. */
export type Device = "cpu";

/**
 * What happens to outputs after a run. `ordinary`: the binding copies each into
 * a new ArrayBuffer that nobody looks at (a block's forward pass then takes 74
 * instead of 59 ms). `avoided`: the run ends before those copies.
 */
export type OutputCopy = "avoided" | "ordinary";

/** How a graph is compiled. */
export interface CompileOptions {
  /** What to call the program in errors. @defaultValue "graph" */
  readonly name?: string;
  /** Threads within an op. @defaultValue the runtime's own choice, one per physical core */
  readonly threads?: number;
  /**
   * Plans all intermediate tensors as one allocation. Measured on a whole model of 30 layers: as
   * fast without, with 2.5 instead of 4.2 GB; on one block no difference. @defaultValue false
   */
  readonly memoryPattern?: boolean;
  /** What each node is for, in words of whoever made the graph; asked for only where a trace listens. @defaultValue its op */
  readonly kinds?: (graph: Graph) => (node: Node) => string;
}

/** What a program that is being profiled is compiled with. */
export interface Profiling {
  /** What the files of the runtime's profiler begin with; null: its kernels are not timed. */
  readonly prefix: string | null;
  readonly origins: Map<string, Node>;
}

/** A program whose session's own profiler can be ended. */
export interface ProfiledProgram extends Program {
  /** Ends the runtime's profiler, which then writes its file. */
  endProfiling(): void;
}

/** A graph ready to run. Its memory is the caller's: it reads and writes the arrays it is given. */
export interface Program {
  readonly name: string;
  readonly inputs: Readonly<Record<string, TensorType>>;
  readonly outputs: Readonly<Record<string, TensorType>>;
  /**
   * Runs once. Every input must be fed; the outputs that are given are written in place, the others
   * are dropped. Blocks the calling thread while it computes. An output may lie in the memory of an
   * input if the op that writes it reads no other element of it later (elementwise; Gemm with C).
   *
   * @throws INTERNAL, naming the tensor, for arrays that do not fit; COMPUTE_FAILED if the runtime fails
   */
  run(feeds: Readonly<Record<string, TensorData>>, outputs: Readonly<Record<string, TensorData>>): Promise<void>;
  /** Frees the session; the program cannot run afterwards. */
  dispose(): Promise<void>;
}

/** First output of a program that avoids the copies; not a legal input or output name of ours elsewhere. */
const SEQUENCE = "#sequence";
/**
 * What onnxruntime-node throws when it comes to convert an output that is a
 * sequence: after the run has written the preallocated tensors, and, as that
 * output is the first, before it has copied any of them. Version 1.30.0; the
 * self-test of `loadRuntime` finds out if that changes.
 */
const SEQUENCE_REFUSED = "Non tensor type is temporarily not supported.";

/** Compiles a graph for the peer. */
export async function compileProgram(
  peer: Peer,
  device: Device,
  outputCopy: OutputCopy,
  graph: Graph,
  options: CompileOptions,
  profiling?: Profiling,
): Promise<ProfiledProgram> {
  const name = options.name ?? "graph";
  const origins = profiling === undefined ? {} : { origins: profiling.origins };
  const model = lowerToOnnx(graph, outputCopy === "avoided" ? { leadingSequence: SEQUENCE, ...origins } : origins);
  const prefix = profiling?.prefix ?? null;
  try {
    const session = await peer.InferenceSession.create(model, {
      ...sessionOptions(device, options),
      ...(prefix === null ? {} : { enableProfiling: true, profileFilePrefix: prefix }),
    });
    return new OrtProgram(peer, session, graph, name, outputCopy);
  } catch (error) {
    throw computeFailed("the runtime refused the graph", name, error);
  }
}

function sessionOptions(device: Device, { threads, memoryPattern = false }: CompileOptions): InferenceSession.SessionOptions {
  return {
    executionProviders: [device],
    enableMemPattern: memoryPattern,
    executionMode: "sequential",
    logSeverityLevel: 4, // fatal only: errors are thrown as well, and a library prints nothing
    // Else the threads of a session that has just run spin on while the next one computes: 85 instead of 60 ms a block.
    extra: { session: { force_spinning_stop: "1" } },
    ...(threads === undefined ? {} : { intraOpNumThreads: threads }),
  };
}

class OrtProgram implements ProfiledProgram {
  readonly name: string;
  readonly inputs: Readonly<Record<string, TensorType>>;
  readonly outputs: Readonly<Record<string, TensorType>>;
  readonly #peer: Peer;
  readonly #outputCopy: OutputCopy;
  #session: InferenceSession | undefined;

  constructor(peer: Peer, session: InferenceSession, graph: Graph, name: string, outputCopy: OutputCopy) {
    this.#peer = peer;
    this.#session = session;
    this.#outputCopy = outputCopy;
    this.name = name;
    this.inputs = typesOf(graph.inputs);
    this.outputs = typesOf(graph.outputs);
  }

  async run(feeds: Readonly<Record<string, TensorData>>, outputs: Readonly<Record<string, TensorData>>): Promise<void> {
    if (this.#session === undefined) throw new InternalError("the program was run after dispose()", { where: this.name });
    for (const input of Object.keys(this.inputs))
      if (!(input in feeds)) throw new InternalError("nothing was fed", { where: `${this.name}, input ${input}` });
    const inputTensors = this.#wrap("input", feeds, this.inputs);
    const outputTensors = this.#wrap("output", outputs, this.outputs);
    try {
      if (this.#outputCopy === "ordinary") await this.#session.run(inputTensors, outputTensors);
      else await runWithoutCopies(this.#session, inputTensors, outputTensors);
    } catch (error) {
      throw computeFailed("the runtime failed to run the graph", this.name, error);
    }
  }

  endProfiling(): void {
    this.#session?.endProfiling();
  }

  async dispose(): Promise<void> {
    const session = this.#session;
    this.#session = undefined;
    await session?.release();
  }

  /** Tensors over the caller's arrays. Making one costs less than a microsecond, so they are not kept. */
  #wrap(
    side: "input" | "output",
    arrays: Readonly<Record<string, TensorData>>,
    types: Readonly<Record<string, TensorType>>,
  ): Record<string, Tensor> {
    const tensors: Record<string, Tensor> = {};
    for (const name of Object.keys(arrays)) {
      const type = types[name];
      if (type === undefined) throw this.#unknown(side, name, types);
      const data = arrays[name];
      checkTensorData(data, type, `${this.name}, ${side} ${name}`);
      tensors[name] = new this.#peer.Tensor(type.dtype, data, type.shape);
    }
    return tensors;
  }

  #unknown(side: string, name: string, types: Readonly<Record<string, TensorType>>): InternalError {
    const near = nearestName(name, Object.keys(types));
    return new InternalError(`the program has no ${side} of this name${near === undefined ? "" : ` (but ${near})`}`, {
      where: `${this.name}, ${side} ${name}`,
    });
  }
}

async function runWithoutCopies(session: InferenceSession, feeds: Record<string, Tensor>, outputs: Record<string, Tensor>): Promise<void> {
  try {
    await session.run(feeds, { [SEQUENCE]: null, ...outputs });
  } catch (error) {
    if (!(error instanceof Error && error.message === SEQUENCE_REFUSED)) throw error;
  }
}

function typesOf(values: Readonly<Record<string, TensorType>>): Readonly<Record<string, TensorType>> {
  return Object.freeze(Object.fromEntries(Object.entries(values).map(([name, { shape, dtype }]) => [name, { shape, dtype }])));
}

function computeFailed(what: string, where: string, error: unknown): HeirloomError {
  const message = error instanceof Error ? error.message : String(error);
  const memory = /failed to allocate|bad_alloc|out of memory/i.test(message);
  return new HeirloomError("COMPUTE_FAILED", `${what}: ${message}`, {
    where,
    cause: error,
    ...(memory ? { hint: "it ran out of memory: use a smaller batch or shorter rows" } : {}),
  });
}
