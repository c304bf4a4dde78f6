export { VERSION } from "../runs/index.ts";
