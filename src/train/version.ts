export { VERSION } from "../core/node/index.ts";
