// The file of `--report`: where it may lie, what made it, and that it appears whole or not at all.

import { resolve } from "node:path";
import { HireError } from "../../runtime/errors.ts";
import { refuseToReplace, writeWhole } from "../../runtime/node/write-whole.ts";
import type { Run } from "../report/page.ts";
import { packageVersion } from "./version.ts";

const CODE = "HIRE-CAL-006";

/**
 * Before anything is measured.
 * @param read files that the command reads. @param out another that it writes.
 * @throws HireError HIRE-CAL-006 where one of them is the report.
 */
export async function refuseReport(path: string, read: readonly string[], out?: string): Promise<void> {
  await refuseToReplace(path, read, CODE);
  if (out === undefined || resolve(out) !== resolve(path)) return;
  throw new HireError({
    code: CODE,
    message: `${path} cannot be written: it is the file of --out as well`,
    fix: "Choose another place for one of them",
  });
}

/** @throws HireError HIRE-CAL-006 where the folder or the disk refuses. */
export async function writeReport(path: string, html: string): Promise<void> {
  await writeWhole(path, CODE, (handle) => handle.writeFile(html));
}

export function thisRun(): Run {
  const words = ["hirec", ...process.argv.slice(2)];
  return {
    command: words.map(quoted).join(" "),
    date: new Date().toISOString().replace(/\.\d+Z$/, "Z"),
    hirec: packageVersion(),
    node: process.versions.node,
  };
}

/** A word as a shell reads it. */
function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
