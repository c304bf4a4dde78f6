// npm run kernels: compiles assembly/*.ts into src/kernels/wasm_kernels.ts.
import { writeFileSync } from "node:fs";
import { compileKernels, MODULE_FILE } from "./compile.ts";

writeFileSync(MODULE_FILE, await compileKernels());
