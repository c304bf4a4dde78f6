import { pyString, pyTuple } from "./python.ts";
import type { GuardedTensor } from "./types.ts";

interface Row {
  readonly pattern: string;
  readonly layers: number[] | null;
  readonly tensor: GuardedTensor;
}

const LAYER = /\.(\d+)\./;

/** Tensors that differ in their layer only, as one row; `{}` stands for the layer. */
function rowsOf(tensors: readonly GuardedTensor[]): Row[] {
  const rows = new Map<string, Row>();
  for (const tensor of tensors) {
    const layer = LAYER.exec(tensor.key)?.[1];
    // A second number (an expert's) stays in the name.
    const pattern = layer === undefined ? tensor.key : tensor.key.replace(LAYER, ".{}.");
    const id = JSON.stringify([pattern, tensor.shape, tensor.valueBytes, tensor.group]);
    const row = rows.get(id) ?? { pattern, layers: layer === undefined ? null : [], tensor };
    if (layer !== undefined) row.layers?.push(Number(layer));
    rows.set(id, row);
  }
  return [...rows.values()];
}

function layersText(layers: readonly number[] | null): string {
  if (layers === null) return "None";
  const sorted = [...layers].sort((a, b) => a - b);
  const [first = 0] = sorted;
  return sorted.every((layer, i) => layer === first + i) ? `range(${first}, ${first + sorted.length})` : `[${sorted.join(", ")}]`;
}

/**
 * Python that compares a live model's trainable tensors with the ledger, and
 * what its optimizer holds, and stops with the names where they differ. Needs
 * nothing but the model; works with PEFT, and trainers built on it.
 */
export function guardText(tensors: readonly GuardedTensor[]): string {
  const rows = rowsOf(tensors).map(
    ({ pattern, layers, tensor: { shape, valueBytes, group } }) =>
      `        (${pyString(pattern)}, ${layersText(layers)}, ${pyTuple(shape)}, ${valueBytes}, ${pyString(group)}),`,
  );
  return `# heirloom guard: call heirloom_guard(model) before the first step, or add HeirloomGuard() to a Trainer's callbacks.
# It stops unless exactly the tensors of the adapter's ledger are trained, in their shapes and at least their precision.
import re


def heirloom_ledger():
    rows = [  # name, layers, shape, bytes per value, learning-rate group
${rows.join("\n")}
    ]
    return {
        name.replace("{}", str(layer)): (shape, size, group)
        for name, layers, shape, size, group in rows
        for layer in (layers or [None])
    }


def heirloom_key(name):
    name = name[max(name.find("base_model."), 0):]  # without wrappers such as module. or _orig_mod.
    name = re.sub(r"\\.modules_to_save\\.default\\.", ".", name)
    return re.sub(r"\\.(lora_[A-Za-z_]+)\\.default(?=\\.|$)", r".\\1", name)


def heirloom_guard(model, optimizer=None):
    ledger = heirloom_ledger()
    live = {heirloom_key(name): p for name, p in model.named_parameters() if p.requires_grad}
    wrong = [f"frozen or missing: {name}" for name in ledger if name not in live]
    wrong += [f"trained, but not in the ledger: {name}" for name in live if name not in ledger]
    for name in (name for name in live if name in ledger):
        shape, size, _ = ledger[name]
        if tuple(live[name].shape) != shape:
            wrong.append(f"shape {tuple(live[name].shape)} instead of {shape}: {name}")
        if live[name].element_size() < size:
            wrong.append(f"trained in {live[name].dtype}, stored with {8 * size} bits: {name}")
    if optimizer is not None:
        held = {id(p) for group in optimizer.param_groups for p in group["params"]}
        wrong += [f"not in the optimizer: {name}" for name, p in live.items() if name in ledger and id(p) not in held]
    if wrong:
        shown = "\\n  ".join(wrong[:50]) + ("" if len(wrong) <= 50 else f"\\n  and {len(wrong) - 50} more")
        raise SystemExit(f"heirloom guard: this would not go on with the same adapter; nothing was trained.\\n  {shown}")
    print(f"heirloom guard: {len(live)} tensors, {sum(p.numel() for p in live.values()):,} parameters, as the ledger says")


try:
    from transformers import TrainerCallback
except ImportError:
    pass
else:

    class HeirloomGuard(TrainerCallback):
        def on_train_begin(self, args, state, control, model=None, optimizer=None, **kwargs):
            heirloom_guard(model, optimizer)
`;
}
