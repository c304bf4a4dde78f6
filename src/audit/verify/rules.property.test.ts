import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";
import { isHeirloomError } from "../../core/index.ts";
import { optimizerBytes } from "../fixtures/optimizer.ts";
import { BASE_CONFIG, baseTensors, KEYS, trainerState } from "../fixtures/tiny.ts";
import { type FixtureTensor, writeFolder } from "../fixtures/write-files.ts";
import { verifyPath } from "./index.ts";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "heirloom-verify-random-"));
});
afterAll(() => rm(root, { recursive: true }));

// Parts that names are made of, so that many hit a rule; and texts of any characters, so that some hit nothing known.
const part = fc.oneof(
  fc.constantFrom("base_model", "model", "layers", "0", "self_attn", "q_proj", "lm_head", "embed_tokens", "lora_A", "lora_B"),
  fc.constantFrom("lora_embedding_A", "lora_magnitude_vector", "modules_to_save", "default", "base_layer", "weight", "bias", "module"),
  fc.string({ maxLength: 4, unit: "binary" }),
);
const name = fc.oneof(
  fc.constantFrom(...Object.values(KEYS)),
  fc.array(part, { minLength: 1, maxLength: 9 }).map((parts) => parts.join(".")),
);
const shape = fc.array(fc.nat({ max: 6 }), { maxLength: 3 });
const tensor: fc.Arbitrary<FixtureTensor> = fc.record({
  shape,
  dtype: fc.constantFrom("F32", "BF16", "F16", "F64", "I64", "U8", "BOOL"),
  values: fc.constantFrom(0, 0.25, 1, Number.NaN),
});
const bytesFor = (size: string): number => (size === "I64" ? 8 : 1);
const tensors = fc
  .dictionary(
    name.filter((text) => text !== "__metadata__" && text !== ""),
    tensor,
    { maxKeys: 8 },
  )
  .map((all) => Object.fromEntries(Object.entries(all).filter(([, { dtype }]) => bytesFor(dtype ?? "F32") === 1)));
const names = fc.option(fc.oneof(fc.array(part, { maxLength: 4 }), fc.string({ maxLength: 12 })));
const config = fc.record(
  {
    peft_type: fc.constantFrom("LORA", "LORA", "LORA", "IA3"),
    r: fc.integer({ min: -1, max: 9 }),
    lora_alpha: fc.integer({ min: -1, max: 9 }),
    target_modules: fc.oneof(names, fc.constant("all-linear")),
    exclude_modules: names,
    modules_to_save: fc.option(fc.array(part, { maxLength: 3 })),
    layers_to_transform: fc.option(fc.array(fc.integer({ min: -1, max: 3 }))),
    layers_pattern: names,
    rank_pattern: fc.dictionary(fc.string({ maxLength: 6 }), fc.nat({ max: 9 })),
    bias: fc.constantFrom("none", "all", "lora_only"),
    task_type: fc.constantFrom(null, "CAUSAL_LM", "SEQ_CLS"),
    init_lora_weights: fc.oneof(fc.boolean(), fc.string()),
    ensure_weight_tying: fc.boolean(),
    use_rslora: fc.boolean(),
    peft_version: fc.option(fc.string()),
  },
  { requiredKeys: ["peft_type", "r"] },
);
const state = fc.record({
  global_step: fc.oneof(fc.double(), fc.constant(null)),
  max_steps: fc.oneof(fc.double(), fc.constant("many")),
  epoch: fc.double(),
  num_train_epochs: fc.double(),
  log_history: fc.array(fc.oneof(fc.record({ step: fc.double(), learning_rate: fc.double() }), fc.constant(null))),
});

/** An earlier state without a tensor in common is refused before a rule sees it. */
const SHARED = { shared: [1] };

it("judges files of any content, or refuses them with an error of ours; messages hold no control character", async () => {
  let run = 0;
  let judged = 0;
  await fc.assert(
    fc.asyncProperty(
      tensors,
      tensors,
      config,
      config,
      fc.oneof(state, fc.constant(trainerState())),
      fc.array(fc.option(shape), { maxLength: 4 }),
      fc.boolean(),
      async (own, before, ownConfig, beforeConfig, trainer, shapes, isKnown) => {
        const folder = join(root, String(run++));
        await writeFolder(join(folder, "subject"), {
          "adapter_config.json": ownConfig,
          "adapter_model.safetensors": { ...own, ...SHARED },
          "trainer_state.json": trainer,
          "optimizer.pt": optimizerBytes(shapes),
        });
        await writeFolder(join(folder, "previous"), {
          "adapter_config.json": beforeConfig,
          "adapter_model.safetensors": { ...before, ...SHARED },
        });
        const architecture = isKnown ? {} : { architectures: ["Other"], model_type: "other" };
        await writeFolder(join(folder, "base"), { "config.json": { ...BASE_CONFIG, ...architecture }, "model.safetensors": baseTensors() });
        try {
          const options = { base: join(folder, "base"), against: join(folder, "previous"), banner: "trainable params: 16" };
          const { findings, skipped } = await verifyPath(join(folder, "subject"), options);
          judged++;
          const texts = [...findings.map(({ message }) => message), ...skipped.map(({ reason }) => reason)];
          for (const text of texts) expect(text).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/);
        } catch (error) {
          if (!isHeirloomError(error) || error.code === "INTERNAL") throw error;
        }
        await rm(folder, { recursive: true });
      },
    ),
    { numRuns: 150, verbose: 1 },
  );
  // Most of them must get as far as the rules, or this tests the readers of files only.
  expect(judged).toBeGreaterThan(75);
});
