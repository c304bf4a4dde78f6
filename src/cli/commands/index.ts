import { bench } from "./bench.ts";
import { chat } from "./chat.ts";
import { continueCommand } from "./continue.ts";
import { convert } from "./convert.ts";
import { data } from "./data.ts";
import { demo } from "./demo.ts";
import { diff } from "./diff.ts";
import { evalCommand } from "./eval.ts";
import { explain } from "./explain.ts";
import { exportCommand } from "./export.ts";
import { generate } from "./generate.ts";
import { importCommand } from "./import.ts";
import { inspect } from "./inspect.ts";
import { merge } from "./merge.ts";
import { plan } from "./plan.ts";
import { quantize } from "./quantize.ts";
import { recipe } from "./recipe.ts";
import { resume } from "./resume.ts";
import { runs } from "./runs.ts";
import { serve } from "./serve.ts";
import { train } from "./train.ts";
import { verify } from "./verify.ts";

/** Every command by its name, in the order of the help. */
export const COMMANDS = {
  demo,
  import: importCommand,
  train,
  continue: continueCommand,
  resume,
  inspect,
  verify,
  diff,
  explain,
  plan,
  bench,
  data,
  recipe,
  eval: evalCommand,
  generate,
  chat,
  serve,
  merge,
  quantize,
  export: exportCommand,
  convert,
  runs,
};
