import { expect, it } from "vitest";
import { licenceText, packageOf } from "./licences.ts";

it("knows the package that a module lies in", () => {
  expect(packageOf("/a/node_modules/@stricli/core/dist/index.js")).toBe("@stricli/core");
  expect(packageOf("/a/node_modules/x/node_modules/zod/v4/index.js")).toBe("zod");
  expect(packageOf("C:\\a\\node_modules\\yaml\\dist\\index.js")).toBe("yaml");
  expect(packageOf("/a/src/cli/main.ts")).toBeNull();
});

it("brings the licence of each package once, by name and version", async () => {
  const text = await licenceText(["/a/node_modules/zod/index.js", "/a/node_modules/zod/v4/index.js", "/a/src/x.ts"], ["zod"]);
  expect(text.match(/^zod \d+\.\d+\.\d+$/gm)).toHaveLength(1);
  expect(text).toContain("Permission is hereby granted");
});

it("refuses code of a package that is no dependency: nobody would have chosen its version", async () => {
  await expect(licenceText(["/a/node_modules/vite/index.js"], ["zod"])).rejects.toThrow("vite came into the bundle");
});
