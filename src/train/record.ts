import { cpus } from "node:os";
import type { Runtime } from "../compute/index.ts";
import { ProblemList } from "../core/index.ts";
import type { Dataset } from "../data/index.ts";
import { assertSameLedger, type Ledger, ledgerCounts, peftBanner } from "../ledger/index.ts";
import { parameterCount } from "../model/index.ts";
import { type AdapterRecord, configHash, type DataRecord, RECORD_SCHEMA_VERSION, type RunRecord } from "../runs/index.ts";
import type { Prepared } from "./prepare.ts";
import type { RunRequest } from "./run-request.ts";
import { VERSION } from "./version.ts";

/** Where a continued run's adapter came from. */
export interface ParentRecord {
  readonly adapter: string;
  readonly run: string | null;
  readonly step: number | null;
}

function dataRecord({ report, fingerprint }: Dataset): DataRecord {
  return {
    files: report.files.map(({ path }) => path),
    fingerprint,
    examples: report.examples,
    tokens: report.tokens,
    labelTokens: report.labelTokens,
  };
}

/** run.json of a run that is about to start. */
export function runRecord(
  request: RunRequest,
  prepared: Prepared,
  ledger: Ledger,
  runtime: Runtime,
  parent: ParentRecord | null,
): RunRecord {
  const { base, config } = prepared;
  const counts = ledgerCounts(ledger);
  return {
    schemaVersion: RECORD_SCHEMA_VERSION,
    id: request.id,
    kind: request.kind === "continue" ? "continue" : "train",
    createdAt: request.startedAt,
    config,
    provenance: request.provenance,
    configHash: configHash(config),
    base: { path: base.folder, architecture: base.spec.architecture, parameters: parameterCount(base.spec), fingerprint: base.fingerprint },
    tokenizer: { sha256: prepared.tokenizerHash },
    data: {
      train: dataRecord(prepared.train),
      eval: Object.fromEntries([...prepared.evaluation].map(([name, held]) => [name, dataRecord(held)])),
    },
    ledger: { banner: peftBanner(counts), counts, entries: ledger.entries },
    assumptions: request.assumptions,
    environment: {
      heirloom: VERSION,
      node: process.versions.node,
      onnxruntime: runtime.version,
      outputCopy: runtime.outputCopy,
      platform: `${process.platform}-${process.arch}`,
      cpu: cpus()[0]?.model ?? "unknown",
      threads: config.engine.threads ?? cpus().length,
    },
    parent,
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
 * @param recordedHash of the configuration, as the checkpoint has it
 * @throws RESUME_CHANGED naming each of configuration, base, tokenizer and data that differs
 */
export function requireSameRun(record: RunRecord, prepared: Prepared, recordedHash: string): void {
  const problems = new ProblemList();
  const check = (what: string, expected: string, found: string): void => {
    if (expected !== found)
      problems.add(
        "RESUME_CHANGED",
        `expected the ${what} of the record (${expected.slice(0, 12)}…), found another (${found.slice(0, 12)}…)`,
        { where: what, hint: "put the original back, or start a new run with `heirloom continue`" },
      );
  };
  check("configuration", recordedHash, configHash(prepared.config));
  check("base model", record.base.fingerprint.value, prepared.base.fingerprint.value);
  check("tokenizer", record.tokenizer.sha256, prepared.tokenizerHash);
  check("training data", record.data.train.fingerprint, prepared.train.fingerprint);
  for (const [name, held] of prepared.evaluation)
    check(`held-out data "${name}"`, record.data.eval[name]?.fingerprint ?? "none", held.fingerprint);
  problems.throwIfAny();
}
