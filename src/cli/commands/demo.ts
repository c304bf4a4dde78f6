import type { DemoResult } from "../../train/index.ts";
import { defineCommand } from "../command.ts";
import { demoView } from "../views/demo.ts";

export const demo = defineCommand<object, [], DemoResult>({
  brief: "Train, continue and refuse a frozen continuation, on the bundled model",
  description:
    "The main job on the bundled base model, offline, in under three minutes on two cores: train an adapter with full embedding copies, continue it with the same ledger, then load it the way that freezes the copies, and see that refused.",
  examples: [
    { line: "demo", what: "watch it" },
    { line: "demo --json --quiet", what: "the figures alone" },
  ],
  flags: {},
  positional: { kind: "tuple", parameters: [] },
  async run(_flags, _args, { signal, progress }) {
    const library = await import("../../train/index.ts");
    return library.runDemo({ onEvent: progress.event, signal });
  },
  render: demoView,
  exitCode: ({ ok }) => (ok ? 0 : 21),
});
