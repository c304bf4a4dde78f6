import type { ProgramWork, Trace } from "../../core/index.ts";
import { countFlops, type Graph, type Node } from "../graph/index.ts";
import { dropProfile, profilePrefix, type TimedRun, takeProfile } from "./kernel-profile.ts";
import type { CompileOptions, ProfiledProgram, Profiling, Program } from "./program.ts";
import type { TensorData } from "./tensors.ts";

/**
 * Runs of a program whose kernels are timed: one pass over a model of some 30 equal layers. The profiler writes about
 * 750 bytes for each kernel and run, so that this is a few MB for a block's backward pass.
 */
const TIMED_RUNS = 32;
/** What the runtime calls nodes that it made of ours begins with ours: `MatMul_12_FusedMatMulAndScale`. */
const OUR_NAME = /^[A-Za-z]+_\d+/;

/** FLOPs of a graph's products by what its nodes are for. */
function flopsByKind(graph: Graph, kindOf: (node: Node) => string): Readonly<Record<string, number>> {
  const flops: Record<string, number> = {};
  for (const node of graph.nodes) {
    const own = countFlops({ ...graph, nodes: [node] });
    if (own > 0) flops[kindOf(node)] = (flops[kindOf(node)] ?? 0) + own;
  }
  return flops;
}

/** Compiles a graph to a program that tells a trace of its runs. */
export async function compileObserved(
  trace: Trace,
  graph: Graph,
  options: CompileOptions,
  compile: (profiling: Profiling) => Promise<ProfiledProgram>,
): Promise<Program> {
  const kindOf = options.kinds?.(graph) ?? ((node: Node) => node.op);
  const work = { name: options.name ?? "graph", flops: flopsByKind(graph, kindOf) };
  const profiling = { prefix: profilePrefix(), origins: new Map<string, Node>() };
  try {
    const program = await trace.span(`compile ${work.name}`, "compile", {}, () => compile(profiling));
    return new ObservedProgram(trace, program, work, profiling.prefix, (name) => {
      const node = profiling.origins.get(name) ?? profiling.origins.get(OUR_NAME.exec(name)?.[0] ?? "");
      return node === undefined ? "other" : kindOf(node);
    });
  } catch (error) {
    dropProfile(profiling.prefix);
    throw error;
  }
}

/** Tells a trace of a program's runs, and of the kernels of the first ones. */
class ObservedProgram implements Program {
  readonly name: string;
  readonly inputs: Program["inputs"];
  readonly outputs: Program["outputs"];
  readonly #trace: Trace;
  readonly #program: ProfiledProgram;
  readonly #work: ProgramWork;
  readonly #kindOf: (node: string) => string;
  /** Null once the profiler has been ended. */
  #prefix: string | null;
  /** When the runs that are being profiled began, by the trace's clock. */
  readonly #began: number[] = [];

  constructor(trace: Trace, program: ProfiledProgram, work: ProgramWork, prefix: string, kindOf: (node: string) => string) {
    this.#trace = trace;
    this.#program = program;
    this.#work = work;
    this.#prefix = prefix;
    this.#kindOf = kindOf;
    this.name = program.name;
    this.inputs = program.inputs;
    this.outputs = program.outputs;
    trace.beforeEnd(() => this.#endProfiling());
  }

  async run(feeds: Readonly<Record<string, TensorData>>, outputs: Readonly<Record<string, TensorData>>): Promise<void> {
    await this.#trace.span(this.name, "program", {}, () => {
      this.#trace.ran(this.#work);
      if (this.#prefix !== null) this.#began.push(this.#trace.now());
      return this.#program.run(feeds, outputs);
    });
    if (this.#began.length >= TIMED_RUNS) await this.#endProfiling();
  }

  async dispose(): Promise<void> {
    await this.#endProfiling();
    await this.#program.dispose();
  }

  async #endProfiling(): Promise<void> {
    const prefix = this.#prefix;
    if (prefix === null) return;
    this.#prefix = null;
    await this.#trace.span("read the runtime's profile", "tracing", {}, async () => {
      this.#program.endProfiling();
      const runs = await takeProfile(prefix);
      if (runs !== null && runs.length > 0) this.#tell(runs);
    });
    this.#began.length = 0;
  }

  #tell(runs: readonly TimedRun[]): void {
    // The profiler's clock starts when the session is made: it lies so far behind that no run began before it was called.
    const offset = Math.max(...runs.map(({ start }, i) => (this.#began[i] ?? Number.NEGATIVE_INFINITY) - start));
    const kernels = runs.flatMap((run) =>
      run.kernels.map(({ node, op, start, end }) => {
        const kind = this.#kindOf(node);
        return { name: op, kind, start: start + offset, end: end + offset, args: { kind, node } };
      }),
    );
    this.#trace.kernels(this.#work, { kernels, runs: runs.reduce((sum, { start, end }) => sum + end - start, 0) });
  }
}
