// arch-variants: logits and gradients of tiny models of several families, and what PEFT does with
// tied embeddings.
import { join } from "node:path";
import { adapterTensors, resolveTargets } from "../../../src/adapter/index.ts";
import { InternalError } from "../../../src/core/index.ts";
import type { MicroBatch } from "../../../src/data/index.ts";
import type { TensorFile } from "../../../src/formats/index.ts";
import type { SessionPlan } from "../../../src/train/index.ts";
import type { Check, Finding, Measure } from "../check.ts";
import { sameList } from "../compare.ts";
import { floats, foldersIn, has, namesLike, once, readBatch, readJsonFile, readTensors } from "../files.ts";
import { adapterLedger, baseLedger, line, lines, observedLedger, predicted, trainableLines } from "../ledgers.ts";
import { gradientMeasures, logitsMeasure, lossMeasures } from "../logits.ts";
import { mergeMeasures } from "../merge.ts";
import { type LoadedBase, loadAdapter, loadBase, readSpec, withModel } from "../scene.ts";
import { adapterMeasures, firstStepAllowance, notRepeatable, replay } from "../training.ts";

type Shapes = Readonly<Record<string, readonly number[]>>;
type TensorTable = Readonly<Record<string, { readonly shape: readonly number[] }>>;

interface Scalars extends Readonly<Record<string, unknown>> {
  readonly trainable: Shapes;
  readonly adapter_tensors: TensorTable;
}

interface TiedBehaviour {
  readonly trainable: readonly string[];
  readonly train_losses: readonly number[];
  readonly saved_tensors: TensorTable;
  readonly shared_after_peft: readonly (readonly string[])[];
}

interface Variant {
  readonly name: string;
  readonly folder: string;
  readonly base: () => Promise<LoadedBase>;
  /** Names of the position patterns: each has a file. */
  readonly patterns: readonly string[];
}

const tableLines = (table: TensorTable): string[] => Object.entries(table).map(([name, { shape }]) => line(name, shape));

/** The checks of `arch-variants/`. */
export function archChecks(folder: string): Promise<Check[]> {
  const variants = foldersIn(folder).map((name): Variant => {
    const own = join(folder, name);
    const base = once(() => loadBase(join(own, "base")));
    const patterns = namesLike(own, /^(.+)\.safetensors$/).filter((pattern) => pattern !== "trained_forward");
    return { name, folder: own, base, patterns };
  });
  return Promise.resolve(variants.flatMap(variantChecks));
}

function variantChecks(variant: Variant): Check[] {
  const { name, folder, patterns } = variant;
  const check = (kind: Check["kind"], run: Check["run"]): Check => ({ case: name, kind, run });
  const runnable = has(folder, "base/model.safetensors") && has(folder, "adapter/adapter_model.safetensors");
  const tied = has(folder, "peft_behaviour.json");
  return [
    ...(has(folder, "scalars.json") && runnable ? [check("ledger", () => ledgers(variant))] : []),
    ...(runnable && patterns.length > 0 ? [check("logits", () => logits(variant)), check("gradients", () => gradients(variant))] : []),
    ...(runnable && tied && patterns.length > 0 ? [check("training", () => tiedTraining(variant))] : []),
    ...(has(folder, "merged") && runnable && patterns.length > 0 ? [check("merge", () => merged(variant))] : []),
  ];
}

const scalarsOf = ({ folder }: Variant): Promise<Scalars> => readJsonFile<Scalars>(folder, "scalars.json");
const adapterOf = ({ folder }: Variant, which = "adapter") => loadAdapter(join(folder, which));

function numberIn(scalars: Scalars, key: string): number | undefined {
  const value = scalars[key];
  return typeof value === "number" ? value : undefined;
}

async function ledgers(variant: Variant): Promise<Finding> {
  const spec = await readSpec(join(variant.folder, "base"));
  const adapter = await adapterOf(variant);
  const scalars = await scalarsOf(variant);
  const observed = await observedLedger(await variant.base(), adapter, 1, 8);
  const tensors = adapterTensors(resolveTargets(spec, adapter.spec));
  const measures: Measure[] = [
    ...(await baseLedger(join(variant.folder, "base"))),
    ...adapterLedger(spec, adapter, null),
    observed.measure,
    sameList("trainable tensors, predicted", lines(scalars.trainable), trainableLines(predicted(spec, adapter, null))),
    sameList("trainable tensors, observed", lines(scalars.trainable), observed.trainable),
    sameList("adapter tensors", tableLines(scalars.adapter_tensors).sort(), tensors.map(({ name, shape }) => line(name, shape)).sort()),
  ];
  if (!has(variant.folder, "peft_behaviour.json")) return measures;
  const behaviour = await readJsonFile<TiedBehaviour>(variant.folder, "peft_behaviour.json");
  const own = tensors.filter(({ aliasOf }) => aliasOf === undefined);
  const copies = own.filter(({ role }) => role === "full_copy");
  const shared = copies.map(({ liveName }) =>
    [liveName, ...tensors.filter(({ aliasOf }) => aliasOf === liveName).map((alias) => alias.liveName)].join(" = "),
  );
  const wanted = behaviour.shared_after_peft.filter((group) => group.some((name) => name.includes("modules_to_save")));
  return [
    ...measures,
    sameList(
      "trainable tensors of the tied model",
      behaviour.trainable,
      own.map(({ liveName }) => liveName),
    ),
    sameList(
      "tensors saved of the tied model",
      tableLines(behaviour.saved_tensors).sort(),
      tensors.map(({ name, shape }) => line(name, shape)).sort(),
    ),
    sameList(
      "copies that share storage",
      wanted.map((group) => group.join(" = ")),
      shared,
    ),
  ];
}

async function logits(variant: Variant): Promise<Measure[]> {
  const scalars = await scalarsOf(variant);
  const base = await variant.base();
  const adapter = await adapterOf(variant);
  const measures: Measure[] = [];
  for (const [label, key, scalar, put] of [
    ["base", "base_logits", "base_loss", null],
    ["adapter", "logits", "loss", adapter],
  ] as const) {
    await withModel(base, put, async ({ model }) => {
      for (const pattern of variant.patterns) {
        const file = await readTensors(variant.folder, `${pattern}.safetensors`);
        const batch = await readBatch(file);
        measures.push(await logitsMeasure(`${label}, ${pattern}`, model, batch, await floats(file, key)));
        measures.push(...(await lossMeasures(`${label}, ${pattern}, loss`, model, batch, numberIn(scalars, `${pattern}.${scalar}`))));
      }
    });
  }
  if (has(variant.folder, "trained_forward.safetensors") && has(variant.folder, "adapter-trained/adapter_model.safetensors")) {
    const want = await floats(await readTensors(variant.folder, "trained_forward.safetensors"), "logits");
    const { batch } = await plainFile(variant);
    await withModel(base, await adapterOf(variant, "adapter-trained"), async ({ model }) => {
      measures.push(await logitsMeasure("trained adapter", model, batch, want));
    });
  }
  return measures;
}

async function gradients(variant: Variant): Promise<Measure[]> {
  return withModel(await variant.base(), await adapterOf(variant), async (live) => {
    const measures: Measure[] = [];
    for (const pattern of variant.patterns) {
      const file = await readTensors(variant.folder, `${pattern}.safetensors`);
      measures.push(...(await gradientMeasures(pattern, live, await readBatch(file), file)));
    }
    return measures;
  });
}

/** The file of the pattern at ordinary positions, which the tied study trains on; the first where there is none. */
async function plainFile({ folder, patterns }: Variant): Promise<{ file: TensorFile; batch: MicroBatch; isPlain: boolean }> {
  const files: TensorFile[] = [];
  for (const pattern of patterns) files.push(await readTensors(folder, `${pattern}.safetensors`));
  const plain = files.find(({ tensors }) => !tensors.has("position_ids"));
  const file = plain ?? files[0];
  if (file === undefined) throw new InternalError(`${folder} has no file of inputs`);
  const batch = await readBatch(file);
  return { file, isPlain: plain !== undefined, batch: { ...batch, positions: batch.positions.map((_, i) => i % batch.sequence) } };
}

/** What the README says of the tied study: AdamW at lr 1e-3 with weight decay 0.01, torch's defaults besides, the same batch each time. */
const TIED_PLAN = (steps: number): SessionPlan => ({
  groups: [],
  learningRate: 1e-3,
  schedule: { name: "constant", steps, warmupSteps: 0 },
  training: {
    optimizer: "adamw",
    weightDecay: 0.01,
    betas: [0.9, 0.999],
    epsilon: 1e-8,
    maxGradNorm: null,
    lossNormalization: "token",
    seed: 0,
  },
});

async function tiedTraining(variant: Variant): Promise<Finding> {
  const { folder } = variant;
  const { train_losses: losses } = await readJsonFile<TiedBehaviour>(folder, "peft_behaviour.json");
  const adapter = await adapterOf(variant);
  const obstacle = notRepeatable(adapter);
  if (obstacle !== null) return { unsupported: obstacle };
  const { file, batch, isPlain } = await plainFile(variant);
  const plan = TIED_PLAN(losses.length);
  return withModel(await variant.base(), adapter, async (live) => {
    const records = losses.map((loss, i) => ({ step: i + 1, loss }));
    const updates = losses.map(() => [batch]);
    const { measures } = await replay(live, plan, records, updates);
    const saved = await readTensors(folder, "adapter-trained", "adapter_model.safetensors");
    // The gradients of the first step are in the vectors, so it is known where Adam enlarges rounding.
    const allowance = async (name: string) =>
      isPlain && file.tensors.has(`grad.${name}`)
        ? firstStepAllowance(await floats(file, `grad.${name}`), plan.learningRate, plan.training.epsilon)
        : () => 0;
    return [...measures, ...(await adapterMeasures("trained adapter", live, saved, allowance))];
  });
}

async function merged(variant: Variant): Promise<Measure[]> {
  const { folder } = variant;
  return mergeMeasures({
    adapter: join(folder, "adapter-trained"),
    base: join(folder, "base"),
    batch: (await plainFile(variant)).batch,
    logits: await floats(await readTensors(folder, "trained_forward.safetensors"), "logits"),
    ...(has(folder, "merged/model.safetensors") ? { stored: { file: join(folder, "merged/model.safetensors"), whole: true } } : {}),
  });
}
