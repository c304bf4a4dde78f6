// node --import ./tools/register-typescript.mjs tools/export/prove-mlx.ts --python PEFT_PYTHON --mlx-python MLX_PYTHON [--report FILE]
// Converts adapters of PEFT's form for mlx-lm, and adapters that mlx-lm trained and wrote for PEFT, and compares the logits of both
// tools on the same ids. Needs two environments: tools/python/requirements.txt, and one with mlx[cpu] and mlx-lm (Linux has both).
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { InternalError } from "../../src/core/index.ts";
import { ExportScene, type SceneAdapter } from "../../src/export/fixtures/scene.ts";
import { convertAdapter } from "../../src/export/index.ts";

const SCRIPT = "tools/python/check_mlx.py";
const IDS = [1, 70, 104, 80, 35, 200, 263, 5, 99, 150];
/** Sums in fp32 in another order; what the other comparisons with PEFT allow as well. */
const TOLERANCE = 5e-5;

/** Adapters that go from PEFT's form to mlx-lm's. */
const TO_MLX: Readonly<Record<string, SceneAdapter>> = {
  "LoRA on q, v, down": {},
  "rsLoRA on all linear layers": { config: { target_modules: "all-linear", use_rslora: true } },
  "LoRA on the last layer": { config: { layers_to_transform: [1], layers_pattern: "layers" } },
  DoRA: { config: { use_dora: true } },
};
/** What mlx_lm.lora is called with to train an adapter that goes to PEFT's form. */
const TO_PEFT: Readonly<Record<string, readonly string[]>> = {
  "mlx_lm.lora, LoRA, all layers": ["--fine-tune-type", "lora", "--num-layers", "-1"],
  "mlx_lm.lora, LoRA, last layer": ["--fine-tune-type", "lora", "--num-layers", "1"],
  "mlx_lm.lora, DoRA": ["--fine-tune-type", "dora", "--num-layers", "2"],
};

interface Compared {
  readonly adapter: string;
  readonly direction: "PEFT to mlx-lm" | "mlx-lm to PEFT";
  /** Largest difference of logits between the two tools. */
  readonly largest: number;
  /** Largest difference that the adapter makes. */
  readonly effect: number;
}

const { values } = parseArgs({ options: { python: { type: "string" }, "mlx-python": { type: "string" }, report: { type: "string" } } });
const { python, "mlx-python": mlxPython, report } = values;
if (python === undefined || mlxPython === undefined) throw new TypeError("usage: prove-mlx.ts --python PYTHON --mlx-python PYTHON");

const scene = new ExportScene();
const versions: Record<string, string> = {};
let made = 0;

function logits(tool: "mlx" | "peft", base: string, adapter: string | null): string {
  const out = scene.path(`${++made}.npy`);
  const program = tool === "mlx" ? mlxPython : python;
  const said = execFileSync(program as string, [SCRIPT, tool, base, adapter ?? "-", scene.path("ids.json"), out], { encoding: "utf8" });
  Object.assign(versions, JSON.parse(said.trim().split("\n").at(-1) as string));
  return out;
}

function compare(base: string, mlx: string, peft: string): { largest: number; effect: number } {
  const [a, b, plain] = [logits("mlx", base, mlx), logits("peft", base, peft), logits("peft", base, null)];
  return JSON.parse(execFileSync(python as string, [SCRIPT, "compare", a, b, plain], { encoding: "utf8" })) as never;
}

/** mlx-lm trains some steps at a rate that shows, and writes the adapter as it always does. */
function trainInMlx(base: string, flags: readonly string[]): string {
  const rows = Array.from({ length: 8 }, (_, i) => ({ text: `seed ${i} came up in spring, and seed ${i + 1} in autumn` }));
  mkdirSync(scene.path("mlx-data"), { recursive: true });
  for (const set of ["train", "valid"]) scene.write(`mlx-data/${set}.jsonl`, rows);
  const output = scene.path(`mlx-${++made}`);
  const fixed = ["--train", "--model", base, "--data", scene.path("mlx-data"), "--adapter-path", output];
  const schedule = ["--iters", "5", "--batch-size", "2", "--learning-rate", "1e-2", "--val-batches", "1", "--max-seq-length", "64"];
  execFileSync(mlxPython as string, ["-m", "mlx_lm", "lora", ...fixed, ...schedule, ...flags], { stdio: "pipe" });
  return output;
}

async function all(): Promise<Compared[]> {
  const base = await scene.model("base");
  writeFileSync(scene.path("ids.json"), JSON.stringify(IDS));
  const compared: Compared[] = [];
  for (const [adapter, description] of Object.entries(TO_MLX)) {
    const peft = await scene.adapter(`peft-${++made}`, base, description);
    const mlx = scene.path(`to-mlx-${made}`);
    await convertAdapter({ path: peft, to: "mlx", output: mlx, base });
    compared.push({ adapter, direction: "PEFT to mlx-lm", ...compare(base, mlx, peft) });
  }
  for (const [adapter, flags] of Object.entries(TO_PEFT)) {
    const mlx = trainInMlx(base, flags);
    const peft = scene.path(`to-peft-${++made}`);
    await convertAdapter({ path: mlx, to: "peft", output: peft, base });
    compared.push({ adapter, direction: "mlx-lm to PEFT", ...compare(base, mlx, peft) });
  }
  return compared;
}

try {
  const compared = await all();
  console.table(compared);
  console.log(versions);
  if (report !== undefined) writeFileSync(report, `${JSON.stringify({ versions, tolerance: TOLERANCE, compared }, null, 2)}\n`);
  const odd = compared.filter(({ largest, effect }) => !(largest <= TOLERANCE) || !(effect > 100 * TOLERANCE));
  if (odd.length > 0) throw new InternalError(`the two tools differ: ${odd.map(({ adapter }) => adapter).join("; ")}`);
} finally {
  scene.close();
}
