import { formatBytes, formatCount, formatMetric, formatMetricValue, formatRate, formatSeconds } from "../../core/index.ts";
import type {
  AnswersEvent,
  EvaluationEvent,
  FinishedEvent,
  GateEvent,
  LedgerEvent,
  LivenessEvent,
  StartedEvent,
  StepEvent,
  StoppedEvent,
  TrainingEvent,
} from "../../train/index.ts";
import { escapeName, escapeText } from "./escape.ts";
import { renderLedgerRows } from "./ledger-table.ts";
import { type Output, type Terminal, wantsColour } from "./output.ts";
import { type Paint, paint } from "./paint.ts";
import { displayWidth } from "./table.ts";

/** Without a terminal, a line per update would bury a log: at most one a second (events.jsonl has them all). */
const PLAIN_INTERVAL_SECONDS = 1;
/** On a terminal, redrawing faster than the eye reads only costs time. */
const REDRAW_INTERVAL_SECONDS = 0.1;
/** A failed liveness check names this many tensors; the error that follows names all. */
const MAX_NAMED_TENSORS = 5;
const DEFAULT_COLUMNS = 80;

/** Shows on stderr what training does. */
export interface Progress {
  event(event: TrainingEvent): void;
  note(message: string): void;
  /** A line of a log, as it is. */
  line(text: string): void;
  /** Leaves the terminal with the cursor on an empty line. */
  end(): void;
}

function formatRates(rates: StepEvent["learningRates"]): string {
  const entries = Object.entries(rates);
  const [first] = entries;
  if (entries.length === 1 && first !== undefined) return formatRate(first[1]);
  return entries.map(([group, rate]) => `${escapeName(group)} ${formatRate(rate)}`).join(", ");
}

/** `step 12/100  loss 2.3456  lr 2e-4  grad 0.52  412 tokens/s  1m 2s, 3m 4s left  1.20 GiB` */
function stepLine(event: StepEvent): string {
  return [
    `step ${event.step}/${event.steps}`,
    `loss ${event.loss.toFixed(4)}`,
    `lr ${formatRates(event.learningRates)}`,
    `grad ${event.gradNorm.toPrecision(3)}`,
    `${formatCount(event.tokensPerSecond)} tokens/s`,
    `${formatSeconds(event.elapsedSeconds)}, ${formatSeconds(event.remainingSeconds)} left`,
    formatBytes(event.rssBytes),
  ].join("  ");
}

function ledgerText({ banner, rows }: LedgerEvent, style: Paint): string {
  return `${renderLedgerRows(rows, "observed", style)}\n${style.bold(escapeName(banner))}`;
}

function startedText({ kind, run, base, steps, fromStep }: StartedEvent): string {
  const verb = { train: "training", continue: "continuing", resume: "resuming" }[kind];
  const from = fromStep > 0 ? ` from step ${fromStep}` : "";
  return `${verb} ${escapeName(base)}: ${formatCount(steps)} updates${from}${run === null ? "" : `, recorded in ${escapeName(run)}`}`;
}

function evaluationText({ step, dataset, loss, perplexity, tokens }: EvaluationEvent): string {
  return `eval after step ${step}  ${escapeName(dataset)}  loss ${loss.toFixed(4)}  perplexity ${perplexity.toFixed(2)}  (${formatCount(tokens)} tokens)`;
}

function answersText({ step, dataset, exactMatch, f1, rows }: AnswersEvent): string {
  return `answers after step ${step}  ${escapeName(dataset)}  exact match ${(100 * exactMatch).toFixed(1)} %  F1 ${(100 * f1).toFixed(1)} %  (${formatCount(rows)} rows)`;
}

/** One that failed is told by the error or the table that comes of it, with the same facts. */
function gateText({ ok, dataset, metric, condition, before, after }: GateEvent, style: Paint): string | null {
  if (!ok) return null;
  const from = before === null ? "" : `${formatMetricValue(metric, before)} → `;
  const value = formatMetricValue(metric, after);
  return `${style.green("gate passed")}  ${escapeName(dataset)}  ${formatMetric(metric)} ${condition}: ${from}${value}`;
}

function stoppedText({ step, steps, best, reason }: StoppedEvent): string {
  const lowest = best === null ? "" : `; the lowest was ${best.value.toFixed(4)} after step ${best.step}`;
  return `stopped early after step ${step} of ${formatCount(steps)}: ${reason}${lowest}`;
}

function livenessText({ step, ok, tensors }: LivenessEvent, style: Paint): string {
  if (ok)
    return `${style.green("alive")} after step ${step}: all ${formatCount(tensors.length)} trainable tensors got a gradient and moved, and no other did`;
  const named = tensors.slice(0, MAX_NAMED_TENSORS).map(escapeName);
  const left = tensors.length - named.length;
  return `${style.red("not alive")} after step ${step}: ${named.join(", ")}${left > 0 ? ` and ${left} more` : ""}`;
}

function finishedText({ step, steps, seconds, tokens, adapter }: FinishedEvent, style: Paint): string {
  const what = `${step < steps ? "stopped" : style.green("done")}: ${formatCount(step)} of ${formatCount(steps)} updates, ${formatCount(tokens)} tokens in ${formatSeconds(seconds)}`;
  return adapter === null ? what : `${what}; adapter in ${escapeName(adapter)}`;
}

/** A text of several lines on one, with its line ends shown: a line of a log stands for itself. */
function onOneLine(text: string): string {
  return escapeName(text.replaceAll("\r\n", "\n").replaceAll("\n", "⏎"));
}

/** The lines that an event other than a step leaves on the screen; null if none. */
function eventText(event: Exclude<TrainingEvent, StepEvent>, style: Paint): string | null {
  switch (event.type) {
    case "started":
      return startedText(event);
    case "ledger":
      return ledgerText(event, style);
    case "evaluation":
      return evaluationText(event);
    case "answers":
      return answersText(event);
    case "gate":
      return gateText(event, style);
    case "stopped":
      return stoppedText(event);
    case "checkpoint":
      return `checkpoint after step ${event.step} in ${escapeName(event.path)}`;
    case "liveness":
      return livenessText(event, style);
    case "note":
      return `${style.yellow("note")} ${escapeText(event.message)}`;
    case "sample":
      return `${style.dim("sample")} ${style.bold(onOneLine(event.prompt))}${onOneLine(event.text)}`;
    case "profile":
      return `profile in ${escapeName(event.file)}: open it in chrome://tracing or ui.perfetto.dev`;
    case "finished":
      return finishedText(event, style);
  }
}

function cutToWidth(text: string, columns: number): string {
  if (displayWidth(text) <= columns) return text;
  let cut = "";
  for (const character of text) {
    if (displayWidth(cut + character) >= columns) break;
    cut += character;
  }
  return `${cut}…`;
}

/** Progress that says nothing, for `--quiet`. */
export const silentProgress: Progress = { event: () => undefined, note: () => undefined, line: () => undefined, end: () => undefined };

/**
 * Progress on `output`: on a terminal one line that is drawn over, else plain
 * lines. Everything but steps stays on the screen.
 */
export function progressOn(output: Output, env: Terminal["env"]): Progress {
  const style = paint(wantsColour(output, env));
  const redraws = output.isTTY && env["TERM"] !== "dumb";
  let shownAt = Number.NEGATIVE_INFINITY;
  let hasStatus = false;
  const clear = (): void => {
    if (hasStatus) output.write("\r\u001b[K");
    hasStatus = false;
  };
  const keep = (text: string): void => {
    clear();
    output.write(`${text}\n`);
  };
  const showStep = (event: StepEvent): void => {
    const isEdge = event.step === 1 || event.step === event.steps;
    // Resumed runs start their clock anew, so a step back in time is shown, too.
    const waited = Math.abs(event.elapsedSeconds - shownAt);
    if (!isEdge && waited < (redraws ? REDRAW_INTERVAL_SECONDS : PLAIN_INTERVAL_SECONDS)) return;
    shownAt = event.elapsedSeconds;
    if (!redraws || event.step === event.steps) {
      keep(stepLine(event));
      return;
    }
    output.write(`\r${cutToWidth(stepLine(event), (output.columns ?? DEFAULT_COLUMNS) - 1)}\u001b[K`);
    hasStatus = true;
  };
  return {
    event(event) {
      if (event.type === "step") return showStep(event);
      const text = eventText(event, style);
      if (text !== null) keep(text);
    },
    note: (message) => keep(`${style.yellow("note")} ${escapeText(message)}`),
    line: (text) => keep(escapeText(text)),
    end: clear,
  };
}
