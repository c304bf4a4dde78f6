// The compiled kernels are what their sources give.
import { readFile } from "node:fs/promises";
import { compileKernels, MODULE_FILE } from "../../kernels/compile.ts";
import type { Gate } from "../gate.ts";

export const kernelsGate: Gate = {
  name: "kernels",
  says: "src/kernels/wasm_kernels.ts is what assembly/ compiles to",
  async run() {
    const ok = (await readFile(MODULE_FILE, "utf8")) === (await compileKernels());
    return { ok, note: ok ? "up to date" : "run npm run kernels, and commit" };
  },
};
