// All gates, in the order in which they run: quick ones first, needs before their users.
import type { Gate } from "../gate.ts";
import { browserGate } from "./browser.ts";
import { CONSUMER_GATES } from "./consumer.ts";
import { docsGates } from "./docs.ts";
import { errorCodesGate } from "./error-codes.ts";
import { exportsGate } from "./exports.ts";
import { kernelsGate } from "./kernels.ts";
import { PACKAGE_GATES } from "./package.ts";
import { sizeGate } from "./size.ts";
import { STATIC_GATES } from "./static.ts";
import { TEST_GATES } from "./tests.ts";
import { throwsGate } from "./throws.ts";
import { tsdocGate } from "./tsdoc.ts";

export const GATES: readonly Gate[] = [
  ...STATIC_GATES,
  kernelsGate,
  sizeGate,
  throwsGate,
  errorCodesGate,
  exportsGate,
  tsdocGate,
  docsGates.links,
  ...PACKAGE_GATES,
  ...CONSUMER_GATES,
  docsGates.examples,
  ...TEST_GATES,
  browserGate,
];
