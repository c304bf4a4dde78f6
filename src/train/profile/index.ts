// train/profile: where an update's time goes, as a trace (Chrome's trace event format) and as sums.
// Is told of work by a Trace; knows no model, no optimizer and no run but its folder.
export { Profile } from "./profile.ts";
