// From a file of weights to the first forward pass, against reading that file and nothing else.
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { rounded } from "../steps/report.ts";
import { printed } from "./figures.ts";
import { randomModel } from "./models.ts";
import { alternateObserved, ownProcess } from "./processes.ts";
import type { SpeedRow } from "./row.ts";

/** Asks the system to forget what it holds of a folder's files; it may hold on to some of it. */
function forget(folder: string): void {
  for (const name of readdirSync(folder))
    spawnSync("dd", [`of=${join(folder, name)}`, "oflag=nocache", "conv=notrunc,fdatasync", "count=0", "status=none"]);
}

export const OPENING: SpeedRow = {
  name: "open-1b",
  title: "Llama-3.2-1B's shape: from bf16 safetensors to the start of the first forward pass",
  minutes: 6,
  defaults: { config: "bench/configs/llama-3.2-1b.json", batch: 1, seq: 16, rounds: 5 },
  targets: [
    { figure: "secondsBeyondReading", better: "less", asked: 6 },
    { figure: "secondsBeyondReadingCold", better: "less", asked: 6 },
    { figure: "copyToReading", better: "less", asked: 1.5 },
  ],
  async measure(settings) {
    const model = settings.model === "" ? randomModel(settings, 16) : settings.model;
    const copy = settings.model4bit === "" ? randomModel(settings, 4) : settings.model4bit;
    const { batch, seq, threads, activations } = settings;
    const read = (folder: string): string[] => ownProcess("bench/steps/read-files.ts", { model: folder });
    const open = (folder: string, quantization: string): string[] =>
      ownProcess("bench/steps/open-model.ts", { model: folder, quantization, cache: "off", batch, seq, threads, activations });
    const commands = {
      "read, cold": read(model),
      "open, cold": open(model, "nf4"),
      read: read(model),
      open: open(model, "nf4"),
      "read the 4-bit copy": read(copy),
      "open the 4-bit copy": open(copy, "none"),
    };
    const sides = await alternateObserved(commands, settings.rounds, (side) => {
      if (side.endsWith("cold")) forget(model);
      else readToEnd(side.includes("4-bit") ? copy : model);
    });
    const seconds = (side: keyof typeof commands): number => printed(sides[side], "seconds");
    return {
      figures: {
        secondsBeyondReading: rounded(seconds("open") - seconds("read")),
        secondsBeyondReadingCold: rounded(seconds("open, cold") - seconds("read, cold")),
        copyToReading: rounded(seconds("open the 4-bit copy") / seconds("read")),
        copyToReadingCopy: rounded(seconds("open the 4-bit copy") / seconds("read the 4-bit copy")),
        readSeconds: seconds("read"),
        readSecondsCold: seconds("read, cold"),
        openSeconds: seconds("open"),
        openSecondsCold: seconds("open, cold"),
        openSecondsCopy: seconds("open the 4-bit copy"),
        processSeconds: printed(sides.open, "seconds_since_start"),
      },
      sides,
      method:
        "Fresh processes that alternate. Opening is timed from the call to the first run of a compiled graph: headers, values, quantization to NF4 with " +
        "double quantization, the check that all are finite, LoRA's matrices, compilation; `processSeconds` also has the start of Node and the " +
        "translation of TypeScript, which a built package does not do. Reading is read(2) in chunks of 16 MiB. Warm: all is in the page cache, read " +
        "just before; cold: the system was asked to drop the files' pages (POSIX_FADV_DONTNEED by dd). `copyToReading` is opening a copy in 4 bits " +
        "against reading the bf16 file, both warm.",
    };
  },
};

function readToEnd(folder: string): void {
  for (const name of readdirSync(folder)) spawnSync("cat", [join(folder, name)], { stdio: "ignore" });
}
