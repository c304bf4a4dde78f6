// What a training process holds before any weight: the program's and the job's modules, a worker, and onnxruntime with
// one compiled product in it. Plain JavaScript, since what lets Node.js read TypeScript would be counted as well.
//
//   node bench/memory/process-before-weights.mjs dist     prints { "bytes": … }, the resident set
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { isMainThread, Worker, workerData } from "node:worker_threads";

const at = (root, file) => import(pathToFileURL(resolve(root, file)).href);

if (isMainThread) {
  const [root = "dist"] = process.argv.slice(2);
  await Promise.all(["cli/run.js", "config/index.js", "train/index.js"].map((file) => at(root, file)));
  new Worker(new URL(import.meta.url), { workerData: root });
} else {
  await at(workerData, "train/execute-run.js");
  const { gemm, graph, input, loadRuntime } = await at(workerData, "compute/index.js");
  const runtime = await loadRuntime();
  const y = gemm(input("x", [8, 8]), input("w", [8, 8]), { transB: true });
  const program = await runtime.compile(graph({ outputs: { y } }), { name: "probe" });
  await program.run({ x: new Float32Array(64), w: new Float32Array(64) }, { y: new Float32Array(64) });
  console.log(JSON.stringify({ bytes: process.memoryUsage.rss() }));
  await program.dispose();
}
