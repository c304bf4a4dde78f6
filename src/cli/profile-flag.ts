import { pathFrom } from "./paths.ts";

/** The flag of commands that train. */
export interface ProfileFlag {
  readonly profile?: string;
}

/** Argument table of {@link ProfileFlag}: with `=FILE`, or as the last word by itself. */
export const profileFlag = {
  profile: {
    kind: "parsed",
    parse: (text: string) => text,
    inferEmpty: true,
    optional: true,
    brief:
      "Write a trace of where the time goes, and say it at the end: --profile for trace.json in the run's folder, --profile=FILE for another",
    placeholder: "file",
  },
} as const;

/** What the library is asked for. */
export function profileOption(folder: string, profile: string | undefined): { readonly profile?: string | true } {
  if (profile === undefined) return {};
  return { profile: profile === "" ? true : pathFrom(folder, profile) };
}
