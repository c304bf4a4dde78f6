// npm run bench -- NAME [options]: runs one benchmark of this folder.
import { InternalError } from "../src/core/index.ts";
import { auditBench } from "./audit/audit.ts";
import { crashBench } from "./crash/crash.ts";
import { savingBench } from "./crash/saving.ts";
import { decodeBench } from "./decode/decode.ts";
import { hostileBench } from "./hostile/hostile.ts";
import { diffBench } from "./kernels/diff.ts";
import { gemmBench } from "./kernels/gemm.ts";
import { nf4Bench } from "./kernels/nf4.ts";
import { tokenizeBench } from "./kernels/tokenize.ts";
import { planMemoryBench } from "./memory/plan-memory.ts";
import { step135m } from "./steps/step-135m.ts";
import { storeBench } from "./store/store.ts";

const BENCHMARKS: Readonly<Record<string, (args: string[]) => Promise<void>>> = {
  audit: auditBench,
  "step-135m": step135m,
  crash: crashBench,
  decode: decodeBench,
  diff: diffBench,
  gemm: gemmBench,
  hostile: hostileBench,
  nf4: nf4Bench,
  "plan-memory": planMemoryBench,
  store: storeBench,
  saving: savingBench,
  tokenize: tokenizeBench,
};

const [name = "", ...args] = process.argv.slice(2);
const run = BENCHMARKS[name];
if (run === undefined) throw new InternalError(`expected the name of a benchmark (${Object.keys(BENCHMARKS).join(", ")}), found "${name}"`);
await run(args);
