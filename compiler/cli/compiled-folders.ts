// What is said of compiled folders, once or while watching.

import type { Diagnostic } from "../../runtime/errors.ts";
import type { FolderDifference } from "../write.ts";

export interface CompiledFolder {
  readonly model: string;
  readonly folder: string;
  readonly difference: FolderDifference;
}

/** What was done to a folder, in one line. */
export function summarizeWrite({ model, folder, difference }: CompiledFolder): string {
  const { missing, stale, orphaned, unchanged } = difference;
  const parts = [`${missing.length + stale.length} written`, `${unchanged.length} unchanged`];
  if (orphaned.length > 0) parts.push(`${orphaned.length} removed`);
  return `${model}: ${folder}, ${parts.join(", ")}`;
}

/** Two specs would be written to one folder. */
export function sameName(spec: string, other: string, model: string): Diagnostic {
  return {
    code: "HIRE-SPEC-019",
    message: `${spec} and ${other} both define model "${model}"`,
    fix: "Rename one of the models; each gets a folder of its own",
  };
}
