// The full case: an 8B base in NF4, LoRA on all linear layers, embedding and head trained in full, in two groups.
import { boundShare, median, printed, tokensPerSecond } from "./figures.ts";
import { randomModel } from "./models.ts";
import { alternate, ownStep } from "./processes.ts";
import type { SpeedRow } from "./row.ts";

const FULL = "embed_tokens,lm_head";
/** The embedding's rate as a part of the others'. */
const EMBEDDING_RATIO = 0.1;

export const FULL_8B: SpeedRow = {
  name: "full-8b-1x512",
  title: "Llama-3.1-8B's shape, NF4, r=32 on all linear layers, embed_tokens and lm_head in full, two groups, 512 tokens an update",
  minutes: 25,
  defaults: {
    config: "bench/configs/llama-3.1-8b.json",
    rounds: 1,
    steps: 3,
    warmup: 0,
    batch: 1,
    rank: 32,
    activations: "recompute",
    memoryLimit: "14",
    optimizer: "adamw8bit",
    fullDtype: "BF16",
    boundMib: 3072,
  },
  targets: [
    { figure: "rssGib", better: "less", asked: 14, stretch: 12 },
    { figure: "bound", better: "more", asked: 0.65, stretch: 0.8 },
    { figure: "trainable", better: "equal", asked: 1_134_559_232 },
    { figure: "movedShare", better: "more", asked: 1 },
    { figure: "tokensPerUpdate", better: "more", asked: 512 },
  ],
  async measure(settings) {
    const model = settings.model === "" ? randomModel(settings, 4) : settings.model;
    const flags = {
      quantization: "none",
      cache: "off",
      full: FULL,
      "embedding-ratio": EMBEDDING_RATIO,
      "full-dtype": settings.fullDtype,
      optimizer: settings.optimizer,
      moved: true as const,
      bound: "after",
      "bound-mib": settings.boundMib,
    };
    const sides = await alternate({ heirloom: ownStep(settings, model, flags) }, settings.rounds);
    const moved = sides.heirloom.results.map(({ output }) => output["moved"] as Record<string, number>);
    const of = (name: string): number => median(moved.map((report) => report[name] ?? 0));
    return {
      figures: {
        rssGib: printed(sides.heirloom, "peak_rss_mib") / 1024,
        bound: boundShare(sides.heirloom),
        trainable: printed(sides.heirloom, "trainable_parameters"),
        movedShare: Math.min(of("tensorsMoved") / of("tensors"), of("seenRowsMoved") / of("seenRows")),
        tensors: of("tensors"),
        tensorsMoved: of("tensorsMoved"),
        seenRows: of("seenRows"),
        seenRowsMoved: of("seenRowsMoved"),
        tokensPerUpdate: printed(sides.heirloom, "tokens") / settings.steps,
        tokensPerSecond: tokensPerSecond(sides.heirloom),
      },
      sides,
      notes: sides.heirloom.results
        .filter(({ output }) => output["optimizer"] !== settings.optimizer)
        .map(({ output }) => `Asked for ${settings.optimizer}, but what ran was ${String(output["optimizer"])}.`),
      method:
        "One process makes all updates at a constant rate above 0 (the embedding at a tenth) and reads its own peak memory after the last of them, " +
        "with everything that came before: reading the base, making the masters, compiling. The bound is the products over the base's weights " +
        "of a step, measured in the same process right after, through the engine's own runtime and at these shapes: 4 FLOPs per weight and " +
        "token, 6 where blocks are recomputed; the head's own gradient (2 more) is not among them. Moved: checksums of every trained tensor, and " +
        "of every row of embedding and head, before and after; a row counts as seen if a label depends on it.",
    };
  },
};
