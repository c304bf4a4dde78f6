import { type Form, hasFields, textOf, unusedOf } from "./form.ts";

/** `{text}`: all of it is trained. */
export const text: Form = {
  name: "text",
  fields: "{text}",
  detect: (row) => (hasFields(row, ["text"]) ? '"text" is the whole text' : null),
  parse(row) {
    return { records: [{ kind: "text", text: textOf(row["text"], "text") }], unusedFields: unusedOf(row, ["text"]) };
  },
};
