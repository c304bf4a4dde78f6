import type { Runtime } from "../compute/index.ts";
import type { RunConfig } from "../config/index.ts";
import { ProblemList } from "../core/index.ts";
import { sha256 } from "../core/node/index.ts";
import type { Dataset } from "../data/index.ts";
import { assertSameLedger, type Ledger, ledgerCounts, peftBanner } from "../ledger/index.ts";
import { parameterCount } from "../model/index.ts";
import {
  type AdapterRecord,
  configHash,
  type DataRecord,
  hashFile,
  machineEnvironment,
  type ParentRecord,
  RECORD_SCHEMA_VERSION,
  type RunRecord,
} from "../runs/index.ts";
import type { Prepared } from "./prepare.ts";
import type { RunRequest } from "./run-request.ts";
import { VERSION } from "./version.ts";

async function dataRecord({ report, fingerprint }: Dataset): Promise<DataRecord> {
  return {
    files: await Promise.all(report.files.map(({ path }) => hashFile(path))),
    fingerprint,
    examples: report.examples,
    tokens: report.tokens,
    labelTokens: report.labelTokens,
  };
}

async function dataRecords({ train, evaluation }: Prepared): Promise<RunRecord["data"]> {
  const held = [...evaluation].map(async ([name, dataset]) => [name, await dataRecord(dataset)] as const);
  return { train: await dataRecord(train), eval: Object.fromEntries(await Promise.all(held)) };
}

/** SHA-256 of the chat template that the data are rendered with. */
async function templateHash({ config, tokenizer }: Prepared): Promise<string> {
  if (config.data.template !== null) return (await hashFile(config.data.template)).sha256;
  return tokenizer.chatTemplate === null ? "none" : sha256(tokenizer.chatTemplate);
}

/** What the last bits of a run's results may depend on. */
export function runEnvironment(config: RunConfig, runtime: Runtime): Readonly<Record<string, string | number>> {
  const machine = machineEnvironment();
  return {
    heirloom: VERSION,
    onnxruntime: runtime.version,
    outputCopy: runtime.outputCopy,
    ...machine,
    threads: config.engine.threads ?? machine.cores,
  };
}

/** run.json of a run that is about to start. */
export async function runRecord(
  request: RunRequest,
  prepared: Prepared,
  ledger: Ledger,
  runtime: Runtime,
  parent: ParentRecord | null,
): Promise<RunRecord> {
  const { base, config, tokenizerHash } = prepared;
  const counts = ledgerCounts(ledger);
  return {
    schemaVersion: RECORD_SCHEMA_VERSION,
    id: request.id,
    kind: request.kind === "continue" ? "continue" : "train",
    createdAt: request.createdAt,
    startedAt: request.startedAt,
    config,
    provenance: request.provenance,
    configHash: configHash(config),
    base: { path: base.folder, architecture: base.spec.architecture, parameters: parameterCount(base.spec), fingerprint: base.fingerprint },
    tokenizer: { sha256: tokenizerHash, chatTemplate: await templateHash(prepared) },
    data: await dataRecords(prepared),
    ledger: { banner: peftBanner(counts), counts, entries: ledger.entries },
    assumptions: request.assumptions,
    environment: runEnvironment(config, runtime),
    parent,
    changed: request.kind === "continue" ? request.changed : null,
    repeats: request.repeats ?? null,
  };
}

/**
 * Refuses an adapter whose record lists other trainable tensors than those that
 * are trained now, where no change was asked for.
 *
 * @throws LEDGER_MISMATCH naming the tensors
 */
export function requireSameTensors(record: AdapterRecord | null, observed: Ledger): void {
  if (record === null) return;
  const trained = { ...observed, entries: observed.entries.filter((entry) => entry.trainable) };
  assertSameLedger({ basis: "recorded", entries: record.trainable }, trained, "what the adapter's record says was trained", {
    group: true,
  });
}

/**
 * Refuses to resume what is not the same run any more.
 *
 * @param hashes of the configuration: as the checkpoint has it, and as it was found before what is changed by name
 * @throws RESUME_CHANGED naming each of configuration, base, tokenizer and data that differs
 */
export function requireSameRun(
  record: RunRecord,
  prepared: Prepared,
  { recorded, given }: { readonly recorded: string; readonly given: string },
): void {
  const problems = new ProblemList();
  const check = (what: string, expected: string, found: string): void => {
    if (expected !== found)
      problems.add(
        "RESUME_CHANGED",
        `expected the ${what} of the record (${expected.slice(0, 12)}…), found another (${found.slice(0, 12)}…)`,
        {
          where: what,
          hint: "put the original back, or continue from the checkpoint as a new run: heirloom continue RUN/checkpoint-N -c more.yaml",
        },
      );
  };
  check("configuration", recorded, given);
  check("base model", record.base.fingerprint.value, prepared.base.fingerprint.value);
  check("tokenizer", record.tokenizer.sha256, prepared.tokenizerHash);
  check("training data", record.data.train.fingerprint, prepared.train.fingerprint);
  for (const [name, held] of prepared.evaluation)
    check(`held-out data "${name}"`, record.data.eval[name]?.fingerprint ?? "none", held.fingerprint);
  problems.throwIfAny();
}
