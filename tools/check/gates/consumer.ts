// The packed file in a user's hands: how much it installs, and that it runs on each supported Node.
import { dirname, join } from "node:path";
import { bareFolder, fullFolder, installConsumer, measureInstall, nodeBinary } from "../consumer.ts";
import { fromFindings, type Gate, type GateResult } from "../gate.ts";
import { exportSources, readPackageJson } from "../package-exports.ts";
import { type CommandResult, runCommand } from "../run-command.ts";
import { tarballPath } from "./package.ts";

/** What `npx heirloom verify` may cost a stranger's CI, the bundled base included. */
const MAX_INSTALL_BYTES = 30e6;
const MAX_PACKAGES = 40;
/** Exit code for a missing optional peer. */
const PEER_MISSING = 13;

async function footprint(): Promise<GateResult> {
  const manifest = await readPackageJson();
  // The peer's own dependency comes along in the linked copy by its real path.
  const { status, output } = await installConsumer(await tarballPath(), Object.keys(manifest.peerDependencies));
  if (status !== 0) return { ok: false, note: `npm install ended with ${status}`, details: output };
  const { packages, bytes } = await measureInstall(join(await bareFolder(), "node_modules"));
  const note = `${(bytes / 1e6).toFixed(1)} MB in ${packages.length} packages`;
  const ok = bytes <= MAX_INSTALL_BYTES && packages.length <= MAX_PACKAGES;
  return { ok, note, details: `at most ${MAX_INSTALL_BYTES / 1e6} MB and ${MAX_PACKAGES} packages; installed:\n${packages.join("\n")}` };
}

/** Runs a command line in a consumer's folder with the Node under test first on the path. */
async function inFolder(folder: string, node: string, file: string, args: readonly string[]): Promise<CommandResult> {
  const path = `${dirname(node)}:${join(folder, "node_modules", ".bin")}:${process.env["PATH"] ?? ""}`;
  return runCommand(file, args, { cwd: folder, env: { PATH: path } });
}

function expectExit(what: string, result: CommandResult, status: number, text: string): string[] {
  if (result.status === status && result.output.includes(text)) return [];
  return [`${what}: expected exit ${status} and "${text}", found exit ${result.status}:\n${result.output.slice(-2000)}`];
}

async function runOn(major: number): Promise<GateResult> {
  const node = await nodeBinary(major);
  if ("problem" in node) return { ok: false, note: "no such Node", details: node.problem };
  const manifest = await readPackageJson();
  const bare = await bareFolder();
  const imports = Object.keys(exportSources(manifest)).map((name) => `await import(${JSON.stringify(name)});`);
  const findings = [
    ...expectExit("heirloom --version", await inFolder(bare, node.path, "heirloom", ["--version"]), 0, manifest.version),
    ...expectExit("heirloom --help", await inFolder(bare, node.path, "heirloom", ["--help"]), 0, "train"),
    ...expectExit(
      "every subpath imports",
      await inFolder(bare, node.path, node.path, [
        "--input-type=module",
        "-e",
        `${imports.join("\n")} console.log("imported", process.version)`,
      ]),
      0,
      `imported v${major}.`,
    ),
    ...expectExit(
      "heirloom demo without the peer",
      await inFolder(bare, node.path, "heirloom", ["demo"]),
      PEER_MISSING,
      "npm install --ignore-scripts onnxruntime-node",
    ),
    ...expectExit("heirloom demo with the peer", await inFolder(await fullFolder(), node.path, "heirloom", ["demo", "--json"]), 0, '"ok":'),
  ];
  return fromFindings(findings, `${imports.length} subpaths and the demo`);
}

const onNode = (major: number): Gate => ({
  name: `node-${major}`,
  says: `the packed file runs in an empty folder on Node ${major}`,
  needs: ["footprint"],
  alone: true,
  run: () => runOn(major),
});

export const CONSUMER_GATES: readonly Gate[] = [
  {
    name: "footprint",
    says: `installs in at most ${MAX_INSTALL_BYTES / 1e6} MB and ${MAX_PACKAGES} packages`,
    needs: ["pack"],
    run: footprint,
  },
  onNode(20),
  onNode(24),
];
