import {
  type AdapterSpec,
  type AdapterTensor,
  adapterTensors,
  baseLiveNames,
  type ResolvedAdapter,
  resolveTargets,
} from "../adapter/index.ts";
import { HeirloomError } from "../core/index.ts";
import { type ModelSpec, modelModules, moduleParameters, type Nf4Spec, quantizedModules } from "../model/index.ts";
import { bytesOf, entryOf } from "./entry.ts";
import { matchGroups } from "./groups.ts";
import type { GroupRule, Ledger, LedgerEntry, Role } from "./types.ts";

/** What the tensors are made of, beside their shapes. */
export interface PredictOptions {
  /** Safetensors dtype of the base's tensors (of those that are not quantized). */
  readonly baseDtype: string;
  readonly quantization: Pick<Nf4Spec, "doubleQuant" | "skipModules"> | null;
  /** Without an adapter: the base itself is trained. @defaultValue false */
  readonly fullParameter?: boolean;
  /** @defaultValue "F32" */
  readonly loraDtype?: string;
  /** @defaultValue "F32" */
  readonly fullCopyDtype?: string;
}

/**
 * The ledger that a configuration must give, from sizes alone.
 *
 * @param adapter - null for the bare base model
 * @param groups - learning-rate groups, matched on live names
 * @throws what `resolveTargets` and `matchGroups` throw
 */
export function predictLedger(spec: ModelSpec, adapter: AdapterSpec | null, groups: readonly GroupRule[], options: PredictOptions): Ledger {
  const fullParameter = options.fullParameter ?? false;
  if (fullParameter && (adapter !== null || options.quantization !== null)) {
    throw new HeirloomError(
      "CONFIG_INVALID",
      `full-parameter training cannot go with ${adapter === null ? "a quantized base" : "an adapter"}`,
    );
  }
  const resolved = adapter === null ? null : resolveTargets(spec, adapter);
  const entries = ledgerEntries(spec, resolved, options);
  const trainable = entries.filter((entry) => entry.trainable).map(({ name }) => name);
  const assigned = matchGroups(trainable, groups);
  return { basis: "predicted", entries: entries.map((entry) => ({ ...entry, group: assigned.get(entry.name) ?? null })) };
}

function ledgerEntries(spec: ModelSpec, resolved: ResolvedAdapter | null, options: PredictOptions): LedgerEntry[] {
  const own = resolved === null ? new Map<string, AdapterTensor[]>() : tensorsByPlace(resolved);
  const nameOf = resolved === null ? (_module: string, parameter: string) => parameter : baseLiveNames(resolved);
  const biases = new Set((resolved?.storedBase ?? []).filter(({ trained }) => trained).map(({ parameter }) => parameter));
  const quantized = new Set(options.quantization === null ? [] : quantizedModules(spec, options.quantization).map(({ path }) => path));
  return modelModules(spec).flatMap((module) => {
    const base = moduleParameters(spec, module)
      // Tensors that share their storage with another are no parameters of their own.
      .filter(({ tiedTo }) => tiedTo === undefined)
      .map(({ name, shape }) => {
        const packed = quantized.has(module.path) && name.endsWith(".weight");
        const dtype = packed ? "NF4" : options.baseDtype;
        return entryOf({
          name: nameOf(module.path, name),
          module: module.path,
          role: biases.has(name) ? "bias" : packed ? "quantized_base" : "base",
          shape,
          dtype,
          bytes: bytesOf(dtype, shape, options.quantization?.doubleQuant ?? false),
          trainable: biases.has(name) || (options.fullParameter ?? false),
          group: null,
        });
      });
    return [...base, ...(own.get(module.path) ?? []).map((tensor) => adapterEntry(tensor, options))];
  });
}

/** The adapter's own tensors by the module of the base after whose parameters they are registered. */
function tensorsByPlace(resolved: ResolvedAdapter): Map<string, AdapterTensor[]> {
  const places = new Map<string, AdapterTensor[]>();
  const nameOf = baseLiveNames(resolved);
  const ofBase = new Set(resolved.storedBase.map(({ module, parameter }) => nameOf(module, parameter)));
  for (const tensor of adapterTensors(resolved)) {
    // The base's own parameters are listed with the base; what shares its storage is listed once.
    if (tensor.aliasOf !== undefined || ofBase.has(tensor.liveName)) continue;
    const place = resolved.moduleOrder.findLast((path) => path === tensor.module || path.startsWith(`${tensor.module}.`)) ?? tensor.module;
    places.set(place, [...(places.get(place) ?? []), tensor]);
  }
  return places;
}

function adapterEntry({ liveName, module, role, shape, frozen }: AdapterTensor, options: PredictOptions): LedgerEntry {
  const dtype = (role === "full_copy" ? options.fullCopyDtype : options.loraDtype) ?? "F32";
  return entryOf({ name: liveName, module, role: role satisfies Role, shape, dtype, trainable: frozen !== true, group: null });
}
