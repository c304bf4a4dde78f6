import { execFile, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { describe, expect, it } from "vitest";

const MAIN = "dist/cli/main.js";

interface Ended {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

function heirloom(...inputs: string[]): Promise<Ended> {
  return new Promise((done) => {
    execFile(process.execPath, [MAIN, ...inputs], (error, out, err) =>
      done({ code: typeof error?.code === "number" ? error.code : 0, out, err }),
    );
  });
}

describe.skipIf(!existsSync(MAIN))("the built program", () => {
  it("prints help and the version of its package", async () => {
    const help = await heirloom("--help");
    expect(help).toMatchObject({ code: 0, err: "" });
    expect(help.out).toContain("heirloom train -c run.yaml");
    expect((await heirloom("--version")).out).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  it("uses no colour and no redraw where there is no terminal", async () => {
    const { out, err } = await heirloom("inspect", "vectors/llama-tiny-qlora/base-4bit");
    expect(out).toContain("quantized_base");
    expect(out + err).not.toContain("\u001b");
  });

  it("prints exactly one JSON document with --json, for a result and for an error", async () => {
    const result = await heirloom("inspect", "vectors/llama-tiny-qlora/base-4bit", "--json");
    expect(JSON.parse(result.out)).toMatchObject({ schemaVersion: 1, kind: "model" });
    const error = await heirloom("inspect", "nowhere", "--json");
    expect(error).toMatchObject({ code: 11, err: "" });
    expect(JSON.parse(error.out)).toMatchObject({ schemaVersion: 1, error: { code: "FILE_MISSING" } });
  });

  it("names the nearest command and flag, exit 2", async () => {
    expect(await heirloom("inspct", "a")).toMatchObject({
      code: 2,
      out: "",
      err: expect.stringContaining("did you mean heirloom inspect?") as unknown,
    });
    expect(await heirloom("inspect", "a", "--bse", "b")).toMatchObject({
      code: 2,
      err: expect.stringContaining("did you mean --base?") as unknown,
    });
  });

  it("reports every fault of a configuration with its line, exit 10", async () => {
    const { code, err } = await heirloom("train", "-c", "presets/qlora.yaml", "--set", "adapter.rnk=1");
    expect(code).toBe(10);
    expect(err).toContain('"base" is missing');
    expect(err).toContain('"data.train" is missing');
    expect(err).toContain("did you mean adapter.rank?");
  });

  it("finds the presets of its package from any folder", async () => {
    const { code, err } = await new Promise<Ended>((done) => {
      execFile(process.execPath, [`${process.cwd()}/${MAIN}`, "train", "--preset", "qlra"], { cwd: "/" }, (error, out, text) =>
        done({ code: typeof error?.code === "number" ? error.code : 0, out, err: text }),
      );
    });
    expect(code).toBe(10);
    expect(err).toContain("did you mean qlora?");
  });

  it("ends in silence when the reader of its output goes away", async () => {
    const child = spawn(process.execPath, [MAIN, "inspect", "vectors/llama-tiny-qlora/base-4bit", "--tensors", "--json"], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    let err = "";
    child.stderr.on("data", (chunk: Buffer) => {
      err += chunk.toString();
    });
    child.stdout.destroy();
    const code = await new Promise((done) => child.on("exit", done));
    expect({ code, err }).toEqual({ code: 0, err: "" });
  });
});
