// Texts that lie in files beside the compiler: its templates, and the language that specs import. A bundle for browsers has no
// files, and takes its own module of these functions in place of this one.

import { existsSync, readdirSync, readFileSync } from "node:fs";

/** @returns the texts of `templates/<folder>/`, by file name and in the order of names. */
export function templateTexts(folder: string): ReadonlyMap<string, string> {
  // `templates/` lies beside `compiler/` in the sources, and beside `dist/` in the built package.
  return textsOf(firstOf(`../templates/${folder}/`, `../../templates/${folder}/`), /\.(hbs|py)$/);
}

/** @returns the types of the language: the texts of `dsl/`, by file name. */
export function languageTexts(): ReadonlyMap<string, string> {
  const folder = new URL("../dsl/", import.meta.url);
  return textsOf(folder, existsSync(new URL("index.d.ts", folder)) ? /\.d\.ts$/ : /\.ts$/);
}

function firstOf(...paths: string[]): URL {
  return paths.map((path) => new URL(path, import.meta.url)).find((url) => existsSync(url))!;
}

function textsOf(folder: URL, named: RegExp): Map<string, string> {
  const files = readdirSync(folder).filter((file) => named.test(file));
  return new Map(files.sort().map((file) => [file, readFileSync(new URL(file, folder), "utf8")]));
}
