import type { VerifyResult } from "../../audit/verify/index.ts";
import { ERROR_CODES, HeirloomError } from "../../core/index.ts";
import { defineCommand } from "../command.ts";
import { textFlag } from "../config-flags.ts";
import { optionalPaths, pathFrom } from "../paths.ts";

interface Flags {
  readonly base?: string;
  readonly against?: string;
  readonly log?: string;
  readonly banner?: string;
  readonly peft?: string;
  readonly values?: boolean;
  readonly strict?: boolean;
  readonly only?: readonly string[];
  readonly ignore?: readonly string[];
  readonly github?: boolean;
  readonly fix?: boolean;
  readonly output?: string;
}

const keepText = (text: string): string => text;
const switchFlag = (brief: string) => ({ kind: "boolean", optional: true, withNegated: false, brief }) as const;
const ruleFlag = (brief: string, placeholder: string, parse = keepText) =>
  ({ kind: "parsed", parse, optional: true, variadic: true, brief, placeholder }) as const;

/** `rule:reason`; a rule left out without a reason is one that nobody dares to take up again. @throws USAGE */
function withReason(text: string): string {
  const at = text.indexOf(":");
  if (at > 0 && text.slice(at + 1).trim() !== "") return text;
  const rule = at < 0 ? text : text.slice(0, at);
  throw new HeirloomError("USAGE", `expected a rule and the reason to leave it out, found "${text}"`, {
    hint: `--ignore "${rule === "" ? "RULE" : rule}:why it may be left out"`,
  });
}

/** The folder of a repair; the two flags only make sense together. */
function fixFolder(fix: boolean, output: string | undefined): string | undefined {
  if (fix === (output !== undefined)) return output;
  throw new HeirloomError("USAGE", fix ? "--fix needs a folder to write to" : "--output is for --fix", {
    hint: "heirloom verify PATH --fix -o DIR",
  });
}

export const verify = defineCommand<Flags, [path: string], VerifyResult>({
  brief: "Audit an adapter, checkpoint, run or model; exit 20 if something is wrong",
  description:
    "Audits an adapter, checkpoint, model, or all checkpoints of a run in order, by rules: is everything there that the configuration trains, was it really trained, and will others read it rightly? Configuration and headers always; values with --values, or when there is something to compare them with (--base, --against).",
  examples: [
    { line: "verify runs/a/adapter --base models/m", what: "against the base, values too" },
    { line: "verify out --base models/m", what: "a run: all its checkpoints in order" },
    { line: "verify adapter --log train.log", what: "was what the trainer counted what is stored?" },
    { line: "verify adapter --against checkpoint-1500 --github", what: "in a workflow" },
  ],
  flags: {
    base: textFlag("Base model: a folder, or its config.json", "path"),
    against: textFlag("Earlier state to compare with", "path"),
    log: textFlag("File with what the trainer printed", "file"),
    banner: textFlag("What the trainer printed", "text"),
    peft: textFlag("PEFT release that it is to be loaded with", "version"),
    values: switchFlag("Read values, also with nothing to compare them with"),
    strict: switchFlag("Fail on warnings too"),
    only: ruleFlag("Rule to run; may be given several times", "rule"),
    ignore: ruleFlag("Rule to leave out, and why; may be given several times", "rule:reason", withReason),
    github: switchFlag("Print annotations for GitHub Actions"),
    fix: switchFlag("Write a repaired copy to --output, without changing a value"),
    output: textFlag("Folder for --fix", "path"),
  },
  aliases: { o: "output" },
  positional: {
    kind: "tuple",
    parameters: [
      {
        brief: "An adapter, checkpoint, run or model: its folder, one of its files, or hf://owner/name[@revision]",
        placeholder: "path",
        parse: keepText,
      },
    ],
  },
  async run({ base, against, log, banner, peft, values = false, strict = false, only, ignore, fix = false, output }, [path], { folder }) {
    const { verifyPath } = await import("../../audit/verify/index.ts");
    const target = fixFolder(fix, output);
    return verifyPath(pathFrom(folder, path), {
      ...optionalPaths(folder, { base, against, log, fix: target }),
      ...(banner === undefined ? {} : { banner }),
      ...(peft === undefined ? {} : { peft }),
      ...(only === undefined ? {} : { only }),
      ...(ignore === undefined ? {} : { ignore }),
      values,
      strict,
    });
  },
  async render(result, view, { github = false }) {
    const { githubAnnotations, verifyView } = await import("../views/verify.ts");
    return github
      ? [githubAnnotations(result), verifyView(result, view)].filter((part) => part !== "").join("\n")
      : verifyView(result, view);
  },
  async besideJson(result, { github = false }) {
    // GitHub's runner reads its commands from either stream, and the document has stdout.
    return github ? (await import("../views/verify.ts")).githubAnnotations(result) : "";
  },
  exitCode: ({ ok }) => (ok ? 0 : ERROR_CODES.AUDIT_FINDINGS.exit),
});
