import { formatBytes, formatCount } from "../../core/index.ts";
import type { Hypothesis } from "./hypothesis.ts";
import type { ExplainResult } from "./result.ts";
import { USUAL_RANKS } from "./siblings.ts";
import { copiesInWords, counted, countsInWords, fileInWords, hypothesisInWords, listed } from "./words.ts";

/** A result before its words are found. */
export type Findings = Omit<ExplainResult, "verdict" | "advice">;

const hasFrozenPart = ({ fullCopies, loraState }: Hypothesis) =>
  loraState === "frozen" || fullCopies.some(({ state }) => state === "frozen");

/** How many ways to part are told in words; the table tells the rest. */
const MAX_COPY_STATES = 3;

/** What all of them say of the full copies, or how they part. */
function copiesSentence(exact: readonly Hypothesis[]): string {
  const byCopies = new Map<string, number>();
  for (const { fullCopies } of exact) {
    const words = copiesInWords(fullCopies);
    byCopies.set(words, (byCopies.get(words) ?? 0) + 1);
  }
  const [only] = byCopies.keys();
  if (byCopies.size === 1) return exact.length === 1 ? `It has ${only ?? ""}.` : `Every one of them has ${only ?? ""}.`;
  const all = [...byCopies].sort(([, a], [, b]) => b - a);
  const shown = all.slice(0, MAX_COPY_STATES).map(([words, count]) => `${formatCount(count)} with ${words}`);
  const rest = all.slice(MAX_COPY_STATES).reduce((sum, [, count]) => sum + count, 0);
  return `They differ in the full copies: ${[...shown, ...(rest === 0 ? [] : [`${formatCount(rest)} in other ways (--all lists them)`])].join("; ")}.`;
}

function ranksSentence(exact: readonly Hypothesis[]): string[] {
  const ranks = new Set(exact.map(({ rank }) => rank));
  if (ranks.has(null)) return [];
  const missing = USUAL_RANKS.filter((rank) => !ranks.has(rank));
  const lowest = Math.min(...[...ranks].map((rank) => rank ?? 0));
  if (missing.length === 0) return [];
  const list = missing.length === 1 ? String(missing[0]) : `${missing.slice(0, -1).join(", ")} or ${missing.at(-1) ?? ""}`;
  return [`No exact solution has rank ${list}; the lowest rank of any is ${lowest}.`];
}

/** A rank beyond the width of the model is a product that happens to fit. */
function rankSentence({ hypotheses: [best], base }: Findings): string[] {
  if (best === undefined || best.rank === null || best.rank <= base.hiddenSize) return [];
  return [
    `Even the most ordinary has rank ${formatCount(best.rank)}, beyond the hidden size of ${formatCount(base.hiddenSize)}, which nobody trains: the numbers are most likely of another base.`,
  ];
}

/** What the ordinary explanation prints when nothing is frozen, and what tells it from its neighbours. */
function frozenSentences(best: Hypothesis, { otherRanks }: Findings): string[] {
  if (!hasFrozenPart(best) || best.unfrozen === null) return [];
  const sentences = [`With nothing frozen that adapter prints ${countsInWords(best.unfrozen)}.`];
  const neighbour = otherRanks.filter(({ rank }) => rank < (best.rank ?? 0)).at(-1);
  if (neighbour !== undefined) {
    sentences.push(
      `A run of the same selection that printed ${countsInWords(neighbour)} had another adapter: rank ${neighbour.rank}, file ${fileInWords(neighbour.files[0])}; it is the next lower rank that people use.`,
    );
  }
  return sentences;
}

function sizeSentence(exact: readonly Hypothesis[], { otherRanks }: Findings): string[] {
  const [best] = exact;
  const file = best?.files[0];
  if (best === undefined || file === undefined) return [];
  const sizes = new Set(exact.flatMap(({ files }) => files.slice(0, 1).map(({ bytes }) => bytes)));
  const neighbours = otherRanks.filter(({ rank }) => best.rank !== null && (rank * 2 === best.rank || rank === best.rank * 2));
  const others = neighbours.map(({ rank, files }) => `${formatBytes(files[0]?.bytes ?? 0)} at rank ${rank}`);
  const among =
    exact.length === 1
      ? `Its file holds ${fileInWords(file)}`
      : sizes.size === 1
        ? `The file holds ${fileInWords(file)} in all of them, so its size does not choose among them`
        : `The file holds ${fileInWords(file)} for the most ordinary, ${formatBytes(Math.min(...sizes))} to ${formatBytes(Math.max(...sizes))} over all`;
  const apart = others.length === 0 ? "" : `; the same selection takes ${listed(others)}`;
  const said = hasFrozenPart(best) || best.fullCopies.some(({ state }) => state !== "absent");
  return [
    `${among}${apart}. A file's size tells such ranks apart${said ? ", and nothing about what was trained: a frozen copy takes as many bytes as a trained one" : ""}.`,
  ];
}

function adapterSentences({ adapter, hypotheses, base }: Findings): string[] {
  if (adapter === null) return [];
  const { ranks, targets, layers, fullCopies, bytes, unfrozen, states } = adapter;
  const copies = fullCopies.length === 0 ? "no full copies" : `full copies of ${listed(fullCopies)}`;
  const sentences = [
    `The adapter's own files hold rank ${listed(ranks)} on ${targets.length === base.linears.length ? `all ${targets.length} linear modules` : listed(targets)} of ${layers.count} of ${layers.of} layers, ${copies}, ${formatBytes(bytes)}; with nothing frozen that prints ${countsInWords(unfrozen)}.`,
  ];
  const [state, ...more] = states;
  if (state === undefined)
    sentences.push("Whatever of it is frozen, it does not print these numbers: the banner is of another adapter, or of another base.");
  else if (state.frozen.length === 0) sentences.push("It prints these numbers with all of it trained.");
  else {
    sentences.push(
      `It prints these numbers with ${listed(state.frozen)} in the model and frozen, ${state.trained.length === 0 ? "nothing trained" : `only ${listed(state.trained)} trained`}${more.length === 0 ? "" : ` (or in ${counted(more.length, "other way")})`}.`,
    );
  }
  const contradicting = hypotheses.filter(({ conflictsWith }) => conflictsWith.length > 0).length;
  if (contradicting > 0) {
    sentences.push(
      `Its files contradict ${contradicting === hypotheses.length ? "every one" : formatCount(contradicting)} of the ${counted(hypotheses.length, "explanation")}.`,
    );
  }
  return sentences;
}

function logSentences({ earlier, observed, sameAdapter, base }: Findings): string[] {
  if (sameAdapter === null) return [];
  const counts = [...earlier.map((explanation) => explanation.observed), observed];
  const printed = counts.map(({ trainable }) => formatCount(trainable));
  const [row] = sameAdapter;
  if (row !== undefined) {
    const states = row.map((hypothesis, at) => `${printed[at] ?? ""} with ${hypothesisInWords(hypothesis, base.linears)}`);
    return [`One adapter can have printed all ${counts.length} banners of this log: ${states.join("; ")}.`];
  }
  return [
    `No one adapter prints all ${counts.length} banners of this log (${listed(printed)}): they are of different adapters.`,
    ...earlier.flatMap(({ observed: { trainable, line }, hypotheses, exactCount }) => {
      const [best] = hypotheses;
      if (best === undefined || exactCount === 0) return [`Nothing explains the ${formatCount(trainable)} of line ${line} exactly.`];
      return [
        `The ${formatCount(trainable)} of line ${line} is most ordinarily ${hypothesisInWords(best, base.linears)}, file ${fileInWords(best.files[0])}.`,
      ];
    }),
  ];
}

const NAMES = { trainable: "the trained count", all: "the count of all parameters", percent: "the share" } as const;

function nothingExact({ observed, hypotheses, base }: Findings): string[] {
  const [best] = hypotheses;
  if (best === undefined) {
    return [
      `No configuration of LoRA on this base trains ${formatCount(observed.trainable)} parameters.`,
      "Not searched: rank_pattern, trainable tokens, copies of other modules than the embeddings, a resized vocabulary, other PEFT types. Or the base is another one.",
    ];
  }
  const misses = best.misses.map((miss) => NAMES[miss as keyof typeof NAMES]);
  const total =
    best.all === null ? "" : ` (it has ${formatCount(best.all)} parameters in all, a share of ${best.percent?.toFixed(4) ?? "?"} %)`;
  return [
    `No configuration gives all numbers of this banner exactly; ${counted(hypotheses.length, "configuration")} ${hypotheses.length === 1 ? "gives" : "give"} the trained count, but not ${listed(misses)}.`,
    `The most ordinary of them is ${hypothesisInWords(best, base.linears)}${total}.`,
    "The base may be another one than the one given, or have a resized vocabulary.",
  ];
}

/** The verdict, a sentence each. */
export function verdictOf(findings: Findings): string[] {
  const { hypotheses, exactCount, observed, base } = findings;
  const consistent = hypotheses.filter(({ conflictsWith }) => conflictsWith.length === 0);
  const [best] = hypotheses;
  if (exactCount === 0 || best === undefined)
    return [...nothingExact(findings), ...rankSentence(findings), ...adapterSentences(findings), ...logSentences(findings)];
  const numbers = observed.within > 0 ? "these numbers as far as they were printed" : "exactly these numbers";
  return [
    exactCount === 1 ? `One configuration gives ${numbers}.` : `${formatCount(exactCount)} configurations give ${numbers}.`,
    copiesSentence(hypotheses),
    ...ranksSentence(hypotheses),
    exactCount === 1
      ? `It is ${hypothesisInWords(best, base.linears)}.`
      : `The most ordinary${findings.adapter === null || consistent.length === 0 ? "" : " that the adapter's files do not contradict"} is ${hypothesisInWords(best, base.linears)}.`,
    ...rankSentence(findings),
    ...frozenSentences(best, findings),
    ...sizeSentence(hypotheses, findings),
    ...adapterSentences(findings),
    ...logSentences(findings),
  ];
}

/** A word of a command line. */
function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;
}

/** What to do next. */
export function adviceFor(findings: Findings, names: { readonly base: string; readonly adapter: string }): string[] {
  const { hypotheses, exactCount, adapter, observed } = findings;
  const base = quoted(names.base);
  const given = quoted(names.adapter);
  const [best] = hypotheses;
  const advice: string[] = [];
  if (adapter === null) {
    advice.push(
      `let the adapter decide (its rank, modules and layers, its size): heirloom explain ${quoted(observed.text)} --base ${base} --adapter ${given}`,
    );
  } else if (adapter.states.length === 0) {
    advice.push(`find the adapter that the banner is of, or the base that this one was made on: heirloom inspect ${given} --base ${base}`);
  }
  if (exactCount === 0 || best === undefined) return advice;
  const state = adapter?.states[0];
  const isFrozen = state === undefined ? hasFrozenPart(best) : state.frozen.length > 0;
  if (isFrozen) {
    const printed = adapter === null ? best.unfrozen : adapter.unfrozen;
    advice.push(
      `do not train on like this: load it so that the frozen parts are trained (PEFT: is_trainable=True; Unsloth freezes copies again on loading: there call get_peft_model once more with the same arguments) and compare the count before the first step${printed === null ? "" : ` with ${formatCount(printed.trainable)}`}`,
      `or go on with exactly this adapter, all of it trained: heirloom continue ${given} -c more.yaml`,
    );
  }
  advice.push(`see what the files hold: heirloom inspect ${given} --base ${base}`);
  return advice;
}
