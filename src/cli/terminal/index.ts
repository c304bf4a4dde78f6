// cli/terminal: how results, errors and progress look, for people and as JSON.
// Knows no command and computes nothing.
export { escapeName, escapeText } from "./escape.ts";
export { wrappedHelp } from "./help.ts";
export { renderJson } from "./json.ts";
export { bytesTitle, renderLedgerRows } from "./ledger-table.ts";
export { type Output, type Terminal, tableLimit, wantsColour } from "./output.ts";
export { type Paint, paint } from "./paint.ts";
export { asHeirloomError, errorDocument, renderError } from "./problems.ts";
export { type Progress, progressOn, silentProgress } from "./progress.ts";
export { type Cell, renderFacts, renderTable, wrapText } from "./table.ts";
