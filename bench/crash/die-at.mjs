// Loaded into a process of the built program before anything else (NODE_OPTIONS=--import): keeps a diary of the updates
// and calls that change the disk, and ends the process by SIGKILL at the call that it is told, on the thread that makes it.
//
//   HEIRLOOM_CRASH={"diary": FILE, "under": FOLDER, "at": null | {"thread": "main" | "worker", "nth": 7, "when": "half"}}
import { appendFileSync } from "node:fs";
import { isMainThread, parentPort } from "node:worker_threads";
import { observeDisk } from "../../src/core/fixtures/disk-calls.mjs";

const { diary, under, at } = JSON.parse(process.env.HEIRLOOM_CRASH);
const thread = isMainThread ? "main" : "worker";
const note = (line) => appendFileSync(diary, `${JSON.stringify(line)}\n`);
let count = 0;

function die() {
  process.kill(process.pid, "SIGKILL");
  // The signal ends every thread; until it has, this one does nothing more.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
}

observeDisk((call, path) => {
  if (!path.startsWith(under)) return undefined;
  count++;
  const isMoment = at !== null && at.thread === thread && at.nth === count;
  note({ thread, call, path: path.slice(under.length + 1), ...(isMoment ? { died: at.when } : {}) });
  return isMoment ? { when: at.when, act: die } : undefined;
});

if (parentPort !== null) {
  const post = parentPort.postMessage.bind(parentPort);
  parentPort.postMessage = (message, ...rest) => {
    if (message?.event?.type === "step") note({ step: message.event.step });
    post(message, ...rest);
  };
}
