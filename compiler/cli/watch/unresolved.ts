// Where an import that could not be resolved may yet appear.

import { dirname, isAbsolute, join, resolve } from "node:path";
import type { Diagnostic } from "../../../runtime/errors.ts";

const ENDINGS = ["", ".ts", ".tsx", ".mts", ".js", ".mjs", ".json", "/index.ts", "/index.js"];

/** @returns paths that would mend a problem by their mere appearance; none for most problems. */
export function awaitedPaths({ code, message, span }: Diagnostic): string[] {
  const [, name] = /^Could not resolve "(.*)"$/.exec(message) ?? [];
  if (code !== "HIRE-SPEC-018" || name === undefined || span === undefined) return [];
  const folder = dirname(span.file);
  if (/^\.{0,2}\//.test(name) || isAbsolute(name)) {
    const path = resolve(folder, name);
    return [path, path.replace(/\.([cm]?)js$/, ".$1ts")].flatMap((each) => ENDINGS.map((ending) => each + ending));
  }
  const [first = "", second] = name.split("/");
  const folderOfPackage = first.startsWith("@") ? join(first, second ?? "") : first;
  return foldersUpward(folder).map((each) => join(each, "node_modules", folderOfPackage));
}

function foldersUpward(folder: string): string[] {
  const above = dirname(folder);
  return above === folder ? [folder] : [folder, ...foldersUpward(above)];
}
