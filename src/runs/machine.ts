import { readFileSync } from "node:fs";
import { cpus } from "node:os";

/** Extensions on which the runtime's products choose their kernels, and with them the order of sums. */
const VECTOR_FEATURE = /^(?:sse4_[12]|avx|avx2|fma|f16c|avx_vnni|avx512\w*|amx_\w+|neon|asimd\w*|sve\w*|bf16|i8mm|fphp)$/;

/** The vector features of the processor, sorted; `unknown` where the system does not list them. */
function vectorFeatures(): string {
  try {
    // The kernel's list: `flags` on x86, `Features` on Arm.
    const line = /^(?:flags|Features)\s*:(.*)$/m.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1] ?? "";
    const found = line.split(/\s+/).filter((name) => VECTOR_FEATURE.test(name));
    return found.length === 0 ? "unknown" : [...new Set(found)].sort().join(" ");
  } catch {
    return "unknown"; // no /proc here
  }
}

/** What of this machine and process can change the last bits of a result. */
export function machineEnvironment(): Readonly<Record<"node" | "platform" | "cpu" | "cpuFeatures", string> & { cores: number }> {
  return {
    node: process.versions.node,
    platform: `${process.platform}-${process.arch}`,
    cpu: cpus()[0]?.model ?? "unknown",
    cpuFeatures: vectorFeatures(),
    cores: cpus().length,
  };
}
