// The processes that rows measure: our step, PyTorch's, and how two or more of them alternate.
import { measureProcess, type ObservedProcess, observeProcess, type ProcessResult } from "../steps/measured-process.ts";
import type { SpeedSettings } from "./settings.ts";

type Flags = Readonly<Record<string, string | number | true>>;

const words = (flags: Flags): string[] =>
  Object.entries(flags).flatMap(([name, value]) => (value === true ? [`--${name}`] : value === "" ? [] : [`--${name}`, String(value)]));

/** One of the programs of bench/ as a process of its own. */
export function ownProcess(script: string, flags: Flags, nodeFlags: readonly string[] = []): string[] {
  return [process.execPath, ...nodeFlags, "--import", "./tools/register-typescript.mjs", script, ...words(flags)];
}

/** Our training step. */
export function ownStep(settings: SpeedSettings, model: string, flags: Flags = {}): string[] {
  const { batch, seq, rank, steps, warmup, threads, activations, memoryLimit } = settings;
  const common = { model, batch, seq, rank, steps, warmup, threads, activations, "memory-limit": memoryLimit };
  return ownProcess("bench/steps/own-step.ts", { ...common, ...flags });
}

/** The step of PyTorch and PEFT. */
export function torchStep({ python, batch, seq, rank, steps, warmup, threads }: SpeedSettings, flags: Flags): string[] {
  const common = { batch, seq, rank, steps, "warmup-steps": warmup, threads };
  return [python, "bench/baseline/torch_peft_step.py", ...words({ ...common, ...flags })];
}

function told(round: number, side: string, result: ObservedProcess & { tokensPerSecond?: number }): void {
  const rate = result.tokensPerSecond === undefined ? "" : `${result.tokensPerSecond.toFixed(1)} tokens/s, `;
  const others = result.othersCores === null ? "" : `, others ${result.othersCores.toFixed(2)} cores`;
  process.stderr.write(`round ${round + 1} ${side}: ${rate}${result.peakRssMib} MiB, ${result.wallSeconds.toFixed(0)} s${others}\n`);
}

type Commands<S extends string> = Readonly<Record<S, readonly string[]>>;
type Sides<S extends string, R> = Record<S, { readonly command: readonly string[]; readonly results: R[] }>;

async function alternateBy<S extends string, R extends ObservedProcess>(
  commands: Commands<S>,
  rounds: number,
  measure: (command: readonly string[], side: S) => Promise<R>,
): Promise<Sides<S, R>> {
  const names = Object.keys(commands) as S[];
  const sides = Object.fromEntries(names.map((name) => [name, { command: commands[name], results: [] }])) as unknown as Sides<S, R>;
  for (let round = 0; round < rounds; round++) {
    for (const name of round % 2 === 0 ? names : [...names].reverse()) {
      const result = await measure(commands[name], name);
      sides[name].results.push(result);
      told(round, name, result);
    }
  }
  return sides;
}

/** Runs every side once a round, in fresh processes, the order reversed in every other round. */
export function alternate<S extends string>(commands: Commands<S>, rounds: number): Promise<Sides<S, ProcessResult>> {
  return alternateBy(commands, rounds, measureProcess);
}

/** {@link alternate} of processes that state no rate. */
export function alternateObserved<S extends string>(
  commands: Commands<S>,
  rounds: number,
  before: (side: S) => void = () => undefined,
): Promise<Sides<S, ObservedProcess>> {
  return alternateBy(commands, rounds, (command, side) => {
    before(side);
    return observeProcess(command);
  });
}
