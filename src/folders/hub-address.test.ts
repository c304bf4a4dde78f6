import { describe, expect, it } from "vitest";
import { hubOptionsFrom } from "./hub-folder.ts";
import { formatHubAddress, parseHubAddress } from "./index.ts";

describe("an address on the hub", () => {
  it.each([
    ["hf://o/n", { repository: "o/n", revision: "main", path: "" }],
    ["hf://o/n/", { repository: "o/n", revision: "main", path: "" }],
    ["hf://o/n/a/b.json", { repository: "o/n", revision: "main", path: "a/b.json" }],
    ["hf://o/n@v1.2/checkpoint-10", { repository: "o/n", revision: "v1.2", path: "checkpoint-10" }],
    ["hf://o/n@refs/pr/7", { repository: "o/n", revision: "refs/pr/7", path: "" }],
    ["hf://o/n@refs/pr/7/a", { repository: "o/n", revision: "refs/pr/7", path: "a" }],
    ["hf://o/n@feature%2Fx/a", { repository: "o/n", revision: "feature/x", path: "a" }],
    ["hf://o/n/a@b.json", { repository: "o/n", revision: "main", path: "a@b.json" }],
  ])("%s is taken apart", (text, address) => {
    expect(parseHubAddress(text)).toEqual(address);
  });

  it("is written in its one spelling", () => {
    expect(formatHubAddress(parseHubAddress("hf://o/n@main/a/"))).toBe("hf://o/n/a");
    expect(formatHubAddress(parseHubAddress("hf://o/n@v1/a"))).toBe("hf://o/n@v1/a");
  });

  it.each([
    "hf://",
    "hf://o",
    "hf:///n",
    "hf://o/",
    "hf://o/n@",
    "hf://o/n@%zz",
    "hf://o/n/../m",
    "hf://o/n/a//b",
    "hf://o/n/./a",
    "hf://o/n/\0",
    "hf://../n",
    "hf://o b/n",
    "hf://o/n?x=1",
  ])("%j is refused", (text) => {
    expect(() => parseHubAddress(text)).toThrow(expect.objectContaining({ code: "USAGE" }) as Error);
  });
});

describe("what the environment says of the hub", () => {
  const nowhere = { HF_HOME: "/nonexistent" };

  it("is taken as Hugging Face's tools take it", async () => {
    expect(await hubOptionsFrom(nowhere)).toEqual({ endpoint: "https://huggingface.co", token: undefined });
    expect(await hubOptionsFrom({ ...nowhere, HF_ENDPOINT: "", HF_TOKEN: " hf_x\n" })).toEqual({
      endpoint: "https://huggingface.co",
      token: "hf_x",
    });
    expect(await hubOptionsFrom({ ...nowhere, HF_ENDPOINT: "http://127.0.0.1:8/mirror" })).toMatchObject({
      endpoint: "http://127.0.0.1:8/mirror",
    });
  });

  it.each(["localhost:8080", "ftp://x", "http://user:secretSENTINEL@host", "http://", "http://host?x", "http://[::"])(
    "is refused as an endpoint: %s",
    async (endpoint) => {
      const error: unknown = await hubOptionsFrom({ ...nowhere, HF_ENDPOINT: endpoint }).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ code: "USAGE" });
      expect(JSON.stringify(error)).not.toContain("SENTINEL");
    },
  );

  it("is refused as a token that no header can carry, without saying it", async () => {
    const error: unknown = await hubOptionsFrom({ HF_TOKEN: "hf_SENTINEL\nx" }).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "USAGE" });
    expect(JSON.stringify(error)).not.toContain("SENTINEL");
  });
});
