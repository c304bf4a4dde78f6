// Training steps beside PyTorch + PEFT, and beside the products that they are made of.
import { execFileSync } from "node:child_process";
import { boundShare, peakRssMib, rateRatio, rssRatio, tokensPerSecond } from "./figures.ts";
import { randomModel } from "./models.ts";
import { alternate, ownStep, torchStep } from "./processes.ts";
import type { Measurement, SpeedRow } from "./row.ts";
import type { SpeedSettings } from "./settings.ts";

const METHOD =
  "Each figure is of a fresh process; the sides alternate, and their order is reversed in every other round. Tokens/s are over the measured " +
  "steps (forward, backward, clipping, optimizer) after the warm-up; all tokens are real and labelled. Peak RSS is of the whole process, the " +
  "larger of its own figure and the kernel's VmHWM.";
const BOUND_METHOD =
  "The bound is what the products over the base's weights of the same step take by themselves, forward and for the input's gradient, " +
  "block by block and of the head on labelled rows, each over a weight of its own, through the engine's own runtime: in a process that makes " +
  "a step and then these products, turn by turn (its memory is not counted, since it holds those weights as well). `bound` is their part of the step.";

async function besideTorch(settings: SpeedSettings, model: string, baseline: Readonly<Record<string, string>>): Promise<Measurement> {
  const commands = {
    pytorch: torchStep(settings, baseline),
    heirloom: ownStep(settings, model),
    "heirloom and its products": ownStep(settings, model, { bound: "beside", "bound-mib": settings.boundMib }),
  };
  const sides = await alternate(commands, settings.rounds);
  const { pytorch, heirloom } = sides;
  return {
    figures: {
      ratio: rateRatio(heirloom, pytorch),
      rss: rssRatio(heirloom, pytorch),
      bound: boundShare(sides["heirloom and its products"]),
      tokensPerSecond: tokensPerSecond(heirloom),
      tokensPerSecondPytorch: tokensPerSecond(pytorch),
      rssMib: peakRssMib(heirloom),
      rssMibPytorch: peakRssMib(pytorch),
    },
    sides,
    method: `${METHOD} ${BOUND_METHOD}`,
  };
}

const modelOf = (settings: SpeedSettings): string => (settings.model === "" ? randomModel(settings, 16) : settings.model);

const STEP: SpeedRow = {
  name: "step-135m-2x512",
  title: "SmolLM2-135M's shape, r=16 on all linear layers, 2 × 512: our NF4 against PyTorch + PEFT in fp32",
  minutes: 12,
  defaults: {},
  targets: [
    { figure: "ratio", better: "more", asked: 1.45, stretch: 1.7 },
    { figure: "rss", better: "less", asked: 0.55, stretch: 0.4 },
    { figure: "bound", better: "more", asked: 0.75, stretch: 0.88 },
  ],
  measure: (settings) => besideTorch(settings, modelOf(settings), { config: settings.config }),
};

const REAL: SpeedRow = {
  ...STEP,
  name: "step-135m-2x512-real",
  title: "The same on the weights of a real model (--model FOLDER)",
  defaults: { model: "/tmp/heirloom-real/SmolLM2-135M-Instruct" },
  async measure(settings) {
    const measured = await besideTorch(settings, settings.model, { model: settings.model });
    const note =
      "Both sides read the same folder; what transformers maps of the file counts in its peak memory, so the ratio of memory is best taken from " +
      "step-135m-2x512, where PyTorch draws its weights.";
    return { ...measured, notes: [note] };
  },
};

const BESIDE_NF4: SpeedRow = {
  name: "step-135m-2x512-nf4",
  title: "The same step against PyTorch + PEFT over a bitsandbytes NF4 base",
  minutes: 15,
  defaults: {},
  targets: [{ figure: "ratio", better: "more", asked: 2, stretch: 4 }],
  async measure(settings) {
    const model = modelOf(settings);
    const commands = { pytorch: torchStep(settings, { model, base: "nf4" }), heirloom: ownStep(settings, model) };
    const sides = await alternate(commands, settings.rounds);
    const { pytorch, heirloom } = sides;
    return {
      figures: {
        ratio: rateRatio(heirloom, pytorch),
        rss: rssRatio(heirloom, pytorch),
        tokensPerSecond: tokensPerSecond(heirloom),
        tokensPerSecondPytorch: tokensPerSecond(pytorch),
      },
      sides,
      method: `${METHOD} Both have the same weights in NF4 with double quantization; bitsandbytes computes in fp32, without gradient checkpointing.`,
    };
  },
};

const BF16: SpeedRow = {
  name: "step-135m-2x512-bf16",
  title: "The same step against PyTorch + PEFT over a bf16 base, where the CPU multiplies bf16 in hardware",
  minutes: 8,
  defaults: {},
  targets: [],
  async measure(settings) {
    const probe = execFileSync(settings.python, ["bench/baseline/torch_peft_step.py", "--native-bf16"], { encoding: "utf8" });
    const found = JSON.parse(probe) as { native_bf16: boolean; cpu_capability: string };
    if (!found.native_bf16) {
      const note =
        `This CPU does not multiply bf16 in hardware (no AMX-BF16, AVX512-BF16 or Arm bf16; PyTorch uses ${found.cpu_capability}), so PyTorch ` +
        "in bf16 is far slower than in fp32 here, and a ratio to it would flatter us.";
      return { figures: { ratio: null, rss: null }, sides: {}, method: METHOD, notes: [note] };
    }
    const commands = {
      pytorch: torchStep(settings, { config: settings.config, base: "bf16" }),
      heirloom: ownStep(settings, modelOf(settings)),
    };
    const sides = await alternate(commands, settings.rounds);
    return {
      figures: { ratio: rateRatio(sides.heirloom, sides.pytorch), rss: rssRatio(sides.heirloom, sides.pytorch) },
      sides,
      method: METHOD,
    };
  },
};

const STEP_1B: SpeedRow = {
  name: "step-1b-1x256",
  title: "Llama-3.2-1B's shape, r=16, 1 × 256: weights kept as NF4, and dequantized once, against PyTorch + PEFT in fp32",
  minutes: 35,
  defaults: { config: "bench/configs/llama-3.2-1b.json", batch: 1, seq: 256, steps: 3 },
  targets: [
    { figure: "ratio", better: "more", asked: 1.15, stretch: 1.4 },
    { figure: "rss", better: "less", asked: 0.45 },
    { figure: "cachedRatio", better: "more", asked: 1.3, stretch: 1.5 },
    { figure: "cachedRss", better: "less", asked: 0.9 },
  ],
  async measure(settings) {
    const model = modelOf(settings);
    const commands = {
      pytorch: torchStep(settings, { config: settings.config }),
      "heirloom, NF4": ownStep(settings, model, { cache: "off" }),
      "heirloom, dequantized": ownStep(settings, model, { cache: "on" }),
      "heirloom, NF4, and its products": ownStep(settings, model, { cache: "off", bound: "beside", "bound-mib": settings.boundMib }),
    };
    const sides = await alternate(commands, settings.rounds);
    const { pytorch, "heirloom, NF4": packed, "heirloom, dequantized": cached } = sides;
    return {
      figures: {
        ratio: rateRatio(packed, pytorch),
        rss: rssRatio(packed, pytorch),
        cachedRatio: rateRatio(cached, pytorch),
        cachedRss: rssRatio(cached, pytorch),
        bound: boundShare(sides["heirloom, NF4, and its products"]),
        tokensPerSecond: tokensPerSecond(packed),
        tokensPerSecondCached: tokensPerSecond(cached),
        tokensPerSecondPytorch: tokensPerSecond(pytorch),
        rssMib: peakRssMib(packed),
        rssMibCached: peakRssMib(cached),
        rssMibPytorch: peakRssMib(pytorch),
      },
      sides,
      method: `${METHOD} ${BOUND_METHOD}`,
    };
  },
};

export const STEP_ROWS: readonly SpeedRow[] = [STEP, REAL, BESIDE_NF4, BF16, STEP_1B];
