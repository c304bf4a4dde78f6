// npm run bench -- NAME [options]: runs one benchmark of this folder. npm run bench -- [--json] --only ROW[,ROW] [--setting value …]: measures rows of
// the table of speed. npm run bench -- --list: what there is.
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
import { measureRows, SPEED_ROWS } from "./speed/index.ts";
import { storeBench } from "./store/store.ts";

const BENCHMARKS: Readonly<Record<string, (args: string[]) => Promise<void>>> = {
  audit: auditBench,
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

function list(): void {
  console.log(
    "Rows of the table of speed (npm run bench -- [--json] --only NAME[,NAME] [--python python3] …), minutes on two quiet cores:",
  );
  for (const { name, title, minutes } of SPEED_ROWS) console.log(`  ${name.padEnd(24)} ${String(minutes).padStart(3)}  ${title}`);
  console.log(`Others (npm run bench -- NAME): ${Object.keys(BENCHMARKS).join(", ")}`);
}

async function main(args: string[]): Promise<void> {
  const [name = "", ...rest] = args;
  const run = BENCHMARKS[name];
  if (run !== undefined) return run(rest);
  if (args.includes("--list")) return list();
  const json = args.includes("--json");
  const flags = args.filter((word) => word !== "--json");
  const at = flags.indexOf("--only");
  const names = flags.splice(at, 2)[1]?.split(",");
  if (at < 0 || names === undefined)
    throw new InternalError(
      `expected --list, --only ROW or the name of a benchmark (${Object.keys(BENCHMARKS).join(", ")}), found "${name}"`,
    );
  await measureRows(names, flags, json);
}

await main(process.argv.slice(2));
