import { totalmem } from "node:os";
import type { BenchResult } from "../../train/index.ts";
import { parseByteSize } from "../byte-size.ts";
import { defineCommand } from "../command.ts";
import { textFlag } from "../config-flags.ts";
import { wholeNumber } from "../whole-number.ts";

interface Flags {
  readonly memory?: string;
  readonly threads?: number;
  readonly length?: number;
}

function numberFlag(brief: string) {
  return { kind: "parsed", parse: wholeNumber, optional: true, brief, placeholder: "number" } as const;
}

export const bench = defineCommand<Flags, [], BenchResult>({
  brief: "How fast this machine trains, and which models would fit on it",
  description:
    "How fast this machine trains, and which models would fit on it, in under half a minute: the rate of matrix products by shape and threads, of dequantizing NF4, of AdamW and of memory, a step of a small model that is built in memory, and from these what well-known models would need and do, by the arithmetic of plan. Downloads nothing and writes nothing.",
  examples: [
    { line: "bench", what: "this machine" },
    { line: "bench --memory 64GiB --json", what: "as if it had that much memory, for scripts" },
    { line: "bench --length 2048 --threads 4", what: "longer rows, fewer threads" },
  ],
  flags: {
    memory: textFlag("Memory that the models have to fit into, for example 16GiB; default: this machine's", "size"),
    threads: numberFlag("Threads of the products; default: one per core"),
    length: numberFlag("Tokens of a row in the estimates; default: 512"),
  },
  positional: { kind: "tuple", parameters: [] },
  async run({ memory, threads, length }, _args, { signal, progress }) {
    const request = {
      memoryBytes: memory === undefined ? totalmem() : parseByteSize(memory, "--memory"),
      threads: threads ?? null,
      ...(length === undefined ? {} : { sequence: length }),
    };
    const { benchMachine } = await import("../../train/index.ts");
    return benchMachine(request, { signal, onEvent: ({ message }) => progress.note(message) });
  },
  async render(result, view) {
    const { benchView } = await import("../views/bench.ts");
    return benchView(result, view);
  },
});
