// Lets Node 20 run the .ts files of this repository: in the tools, in tests, and in
// the worker threads that tests start (`--import tsx` alone does not reach workers there).
import { register } from "tsx/esm/api";

register();
