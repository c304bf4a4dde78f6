// npm run docs: writes the reference pages.
import { writeFileSync } from "node:fs";
import { referencePages } from "./reference.ts";

for (const { file, text } of await referencePages()) writeFileSync(new URL(`../../docs/reference/${file}`, import.meta.url), text);
