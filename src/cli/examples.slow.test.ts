import { expect, it, vi } from "vitest";
import { COMMANDS } from "./commands/index.ts";
import { fakeTerminal } from "./fixtures/fake-terminal.ts";
import { runCli } from "./run.ts";

const library = vi.hoisted(() => ({
  train: vi.fn(),
  continueTraining: vi.fn(),
  resume: vi.fn(),
  evaluate: vi.fn(),
  runDemo: vi.fn(),
  generate: vi.fn(),
}));
vi.mock("../train/index.ts", () => library);
vi.mock("../generate/index.ts", () => library);

// Every command is loaded, most of them with all that is below: seconds each on a busy machine.
it("every example of the help parses as it stands", { timeout: 60_000 }, async () => {
  vi.stubGlobal("fetch", () => Promise.resolve(new Response(null, { status: 404 }))); // a hub that has nothing
  for (const [name, command] of Object.entries(COMMANDS)) {
    for (const [, line] of (command.fullDescription ?? "").matchAll(/^ {2}heirloom (.*?) +# /gm)) {
      const words = [...(line ?? "").matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? "");
      expect(words[0]).toBe(name);
      const terminal = fakeTerminal({ folder: "/nowhere" });
      await runCli(words, terminal);
      expect(terminal.err(), line).not.toContain("USAGE");
    }
  }
  vi.unstubAllGlobals();
});
