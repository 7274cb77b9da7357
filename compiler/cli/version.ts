// Which hirec this is.

import { existsSync, readFileSync } from "node:fs";

export function packageVersion(): string {
  // package.json lies above `compiler/` in the sources, and above `dist/` in the built package.
  const url = ["../../package.json", "../../../package.json"]
    .map((path) => new URL(path, import.meta.url))
    .find((each) => existsSync(each))!;
  return (JSON.parse(readFileSync(url, "utf8")) as { readonly version: string }).version;
}
