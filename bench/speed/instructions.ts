// Rows of uneven length, as instruction data have them: ours packed, PyTorch's padded in batches or one by one.
import { readFileSync } from "node:fs";
import { rateRatio, tokensPerSecond } from "./figures.ts";
import { instructionData, randomModel } from "./models.ts";
import { alternate, ownStep, torchStep } from "./processes.ts";
import type { SpeedRow } from "./row.ts";

const PADDED_ROWS = 4;

export const INSTRUCTIONS: SpeedRow = {
  name: "instructions-135m",
  title: `Instruction-like rows, SmolLM2-135M's shape: ours packed, against batches of ${PADDED_ROWS} padded by transformers' collator, and one row at a time`,
  minutes: 55,
  defaults: { batch: 2, seq: 1024 },
  targets: [
    { figure: "ratioPadded", better: "more", asked: 4, stretch: 5 },
    { figure: "ratioSingle", better: "more", asked: 1.7, stretch: 2.2 },
  ],
  async measure(settings) {
    const model = settings.model === "" ? randomModel(settings, 16) : settings.model;
    const { vocab_size: vocabSize } = JSON.parse(readFileSync(settings.config, "utf8")) as { vocab_size: number };
    const data = instructionData(settings, vocabSize);
    const theirs = { config: settings.config, data };
    const commands = {
      "pytorch, padded": torchStep(settings, { ...theirs, batch: PADDED_ROWS }),
      "pytorch, one row": torchStep(settings, { ...theirs, batch: 1 }),
      heirloom: ownStep(settings, model, { data }),
    };
    const sides = await alternate(commands, settings.rounds);
    const { heirloom, "pytorch, padded": padded, "pytorch, one row": single } = sides;
    return {
      figures: {
        ratioPadded: rateRatio(heirloom, padded),
        ratioSingle: rateRatio(heirloom, single),
        tokensPerSecond: tokensPerSecond(heirloom),
        tokensPerSecondPadded: tokensPerSecond(padded),
        tokensPerSecondSingle: tokensPerSecond(single),
      },
      sides,
      method:
        "Every side trains on the same rows, each once, in fresh processes that alternate: lengths are log-normal (median 120 tokens, 16 to " +
        "1024), some 45 % of each row without labels. Real tokens/s: padding is not counted. A batch is an update: four padded rows, one row, or " +
        `${settings.batch} × ${settings.seq} packed tokens, so that ours makes fewer updates of LoRA's small matrices. Graphs of shapes that the ` +
        "warm-up has not met are compiled within the time.",
    };
  },
};
