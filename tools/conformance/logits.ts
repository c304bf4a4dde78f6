// Logits, losses and gradients of one batch against the vectors.
import type { MicroBatch } from "../../src/data/index.ts";
import { type CausalModel, denseGradient, storedLayout } from "../../src/engine/index.ts";
import type { TensorFile } from "../../src/formats/index.ts";
import type { Measure } from "./check.ts";
import { largest, largestDifference, near, relativeDifference, sameSet } from "./compare.ts";
import { floats } from "./files.ts";
import type { LiveModel } from "./scene.ts";
import { TOLERANCES } from "./tolerances.ts";

/** Logits at the tokens that are not padding. */
export async function logitsMeasure(what: string, model: CausalModel, batch: MicroBatch, want: Float32Array): Promise<Measure> {
  const got = await model.logits(batch);
  const width = want.length / (batch.batch * batch.sequence);
  const isToken = (i: number): boolean => batch.segments[Math.floor(i / width)] !== 0;
  return { what, error: largestDifference(want, got, { counts: isToken }), tolerance: TOLERANCES.logits };
}

/** Mean loss per label token. */
export async function meanLoss(model: CausalModel, batch: MicroBatch): Promise<number> {
  const { lossSum, labelTokens } = await model.evaluate(batch);
  return lossSum / labelTokens;
}

/** The mean loss of a batch; none if the vectors do not give it. */
export async function lossMeasures(what: string, model: CausalModel, batch: MicroBatch, want: number | undefined): Promise<Measure[]> {
  return want === undefined ? [] : [near(what, want, await meanLoss(model, batch), TOLERANCES.loss)];
}

const GRADIENT = "grad.";

/** Gradients of the mean loss of one batch, as `grad.<live name>` in a file, and their norm. */
export async function gradientMeasures(
  what: string,
  { model, parameters }: LiveModel,
  batch: MicroBatch,
  file: TensorFile,
  norm?: number,
): Promise<Measure[]> {
  model.beginUpdate();
  await model.accumulate(batch, 1 / batch.labelTokenCount, { seed: 0, update: 0, microStep: 0 });
  model.finishGradients();
  const wanted = [...file.tensors.keys()].filter((name) => name.startsWith(GRADIENT)).map((name) => name.slice(GRADIENT.length));
  const errors: [string, number][] = [];
  let square = 0;
  for (const parameter of parameters) {
    const got = storedLayout(parameter, denseGradient(parameter.gradient, parameter.values.length));
    square += got.reduce((sum, value) => sum + value * value, 0);
    if (wanted.includes(parameter.name)) {
      errors.push([parameter.name, relativeDifference(await floats(file, GRADIENT + parameter.name), got)]);
    }
  }
  return [
    largest(`${what} gradients`, TOLERANCES.gradient, errors),
    sameSet(
      `${what} tensors with a gradient`,
      wanted,
      parameters.map(({ name }) => name),
    ),
    ...(norm === undefined ? [] : [near(`${what} gradient norm, relative`, 1, Math.sqrt(square) / norm, TOLERANCES.gradientNorm)]),
  ];
}
