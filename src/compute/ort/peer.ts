import { HeirloomError } from "../../core/index.ts";

/** What we use of onnxruntime-node; the package is an optional peer, so only its types are imported. */
export type Peer = Pick<typeof import("onnxruntime-node"), "InferenceSession" | "Tensor" | "env">;

/** The first version with everything that the lowering relies on (opset 23 kernels, force_spinning_stop). */
const MINIMUM = { major: 1, minor: 30 };
// Its install script only downloads GPU libraries, and fails where it may not; the CPU's library is in the package.
const INSTALL = `npm install --ignore-scripts onnxruntime-node@^${MINIMUM.major}.${MINIMUM.minor}`;

/**
 * Loads onnxruntime-node where the user has installed it.
 *
 * @param importPeer replaced by tests only
 * @throws PEER_MISSING if it is absent, older than 1.30 or without a binary for this platform
 */
export async function loadPeer(
  importPeer: () => Promise<unknown> = () => import("onnxruntime-node"),
): Promise<{ peer: Peer; version: string }> {
  let loaded: Peer & { readonly default?: Peer };
  try {
    loaded = (await importPeer()) as typeof loaded;
  } catch (error) {
    throw new HeirloomError(
      "PEER_MISSING",
      isNotInstalled(error)
        ? "this needs onnxruntime-node, which is not installed"
        : `onnxruntime-node is installed but could not be loaded: ${String(error)}`,
      {
        hint: INSTALL,
        cause: error,
      },
    );
  }
  const peer = loaded.default ?? loaded; // CommonJS: under `default`, and only perhaps by name as well
  const version = String(peer.env.versions.node);
  const [major = 0, minor = 0] = version.split(".").map(Number);
  if (major !== MINIMUM.major || minor < MINIMUM.minor) {
    throw new HeirloomError(
      "PEER_MISSING",
      `expected onnxruntime-node ${MINIMUM.major}.${MINIMUM.minor} or a later ${MINIMUM.major}.x, found ${version}`,
      { hint: INSTALL, details: { found: version } },
    );
  }
  return { peer, version };
}

function isNotInstalled(error: unknown): boolean {
  return (
    error instanceof Error &&
    "code" in error &&
    (error.code === "ERR_MODULE_NOT_FOUND" || error.code === "MODULE_NOT_FOUND") &&
    error.message.includes("onnxruntime-node")
  );
}
