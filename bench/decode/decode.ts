// Decoding beside transformers' generate and, where a GGUF file is named, llama.cpp: time to the first token and tokens/s.
//
//   npm run bench -- decode --model DIR [--python python3] [--gguf FILE] [--streams 1,8] [--prompt 64] [--tokens 32] [--rounds 5] [--nf4]
import { parseArgs } from "node:util";
import { InternalError } from "../../src/core/index.ts";
import { writeTextAtomic } from "../../src/core/node/index.ts";
import { measureProcess, type ProcessResult } from "../steps/measured-process.ts";
import { currentCommit, machineInfo, spread } from "../steps/report.ts";

const METHOD =
  "Each figure is of a fresh process; the sides take turns, in reversed order in every other round. Random weights or prompts change no " +
  "time: every side reads the same number of tokens and makes the same number, greedily. Tokens/s are over the tokens after the first, " +
  "of all streams together; time to the first token is that of one prompt on a warm model.";

type Side = "heirloom" | "transformers" | "llama.cpp";

interface Flags {
  readonly model: string;
  readonly python: string;
  readonly gguf?: string;
  readonly prompt: string;
  readonly tokens: string;
  readonly nf4: boolean;
}

function commandsFor(flags: Flags, streams: string): Partial<Record<Side, string[]>> {
  const node = ["node", "--import", "./tools/register-typescript.mjs"];
  const lengths = ["--prompt", flags.prompt, "--tokens", flags.tokens];
  const shared = ["--model", flags.model, "--streams", streams, ...lengths];
  return {
    heirloom: [...node, "bench/decode/own-decode.ts", ...shared, ...(flags.nf4 ? ["--nf4"] : [])],
    transformers: [flags.python, "bench/decode/torch_decode.py", ...shared],
    ...(flags.gguf !== undefined && streams === "1"
      ? { "llama.cpp": [...node, "bench/decode/llama-decode.ts", "--model", flags.gguf, ...lengths] }
      : {}),
  };
}

async function measureRounds(commands: Partial<Record<Side, string[]>>, rounds: number): Promise<Map<Side, ProcessResult[]>> {
  const results = new Map<Side, ProcessResult[]>(Object.keys(commands).map((side) => [side as Side, []]));
  for (let round = 0; round < rounds; round++) {
    const sides = [...results.keys()];
    for (const side of round % 2 === 0 ? sides : sides.reverse()) {
      const result = await measureProcess(commands[side] ?? []);
      results.get(side)?.push(result);
      process.stderr.write(`round ${round + 1} ${side}: ${result.tokensPerSecond.toFixed(2)} tokens/s\n`);
    }
  }
  return results;
}

function summarize(streams: string, results: ReadonlyMap<Side, readonly ProcessResult[]>) {
  const rates = (side: Side): number[] => (results.get(side) ?? []).map(({ tokensPerSecond }) => tokensPerSecond);
  const sides = [...results].map(([side, each]) => ({
    side,
    streams: Number(streams),
    tokensPerSecond: spread(rates(side)),
    firstTokenSeconds: spread(each.map(({ output }) => Number(output["time_to_first_token_s"]))),
    peakRssMib: spread(each.map(({ peakRssMib }) => peakRssMib)),
    othersCores: spread(each.map(({ othersCores }) => othersCores ?? 0)),
  }));
  const torch = rates("transformers");
  return { sides, ratioToTransformers: spread(rates("heirloom").map((rate, i) => rate / (torch[i] as number))) };
}

/** Measures all rounds and writes `bench/results/decode.json`. */
export async function decodeBench(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      model: { type: "string", default: "" },
      python: { type: "string", default: process.env["HEIRLOOM_PYTHON"] ?? "python3" },
      gguf: { type: "string" },
      streams: { type: "string", default: "1,8" },
      prompt: { type: "string", default: "64" },
      tokens: { type: "string", default: "32" },
      rounds: { type: "string", default: "5" },
      nf4: { type: "boolean", default: false },
      out: { type: "string", default: "bench/results/decode.json" },
    },
  });
  if (values.model === "") throw new InternalError("expected --model, a folder of a model");
  const { gguf, ...rest } = values;
  const flags: Flags = { ...rest, ...(gguf === undefined ? {} : { gguf }) };
  const measured = [];
  for (const streams of values.streams.split(","))
    measured.push(summarize(streams, await measureRounds(commandsFor(flags, streams), Number(values.rounds))));
  const settings = { prompt: values.prompt, tokens: values.tokens, rounds: values.rounds, nf4: values.nf4 };
  const report = {
    schemaVersion: 1,
    date: new Date().toISOString().slice(0, 10),
    commit: currentCommit(),
    method: METHOD,
    machine: machineInfo(),
    settings,
    measured,
  };
  await writeTextAtomic(values.out, `${JSON.stringify(report, null, 2)}\n`);
  process.stdout.write(`${JSON.stringify(measured, null, 2)}\n`);
}
