import { expect, it } from "vitest";
import { engineSource } from "./engine-source.ts";

it.each([
  ["runs/a", { path: "/w/runs/a" }],
  ["/runs/a", { path: "/runs/a" }],
  ["b=runs/a", { id: "b", path: "/w/runs/a" }],
  ["b=runs/x=1", { id: "b", path: "/w/runs/x=1" }],
  ["./a=b", { path: "/w/a=b" }],
  ["hf://owner/a=b", { path: "hf://owner/a=b" }],
  ["=a", { path: "/w/=a" }],
])("%s names a model and where it is", (text, source) => {
  expect(engineSource(text, "/w")).toEqual(source);
});
