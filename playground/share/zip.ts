// The output as a zip: the spec, and beside it the folder that `hirec compile` would write.

import { strToU8, zipSync } from "fflate";
import { type Compiled, SPEC_FILE } from "../compile/protocol.ts";
import { element } from "../element.ts";

export function zipOf({ text, plan, files }: Compiled): Blob {
  const entries = [[SPEC_FILE, text], ...[...files].map(([path, content]) => [`${plan.model}/${path}`, content])];
  const bytes = zipSync(Object.fromEntries(entries.map(([path, content]) => [path, strToU8(content!)])));
  return new Blob([bytes as Uint8Array<ArrayBuffer>], { type: "application/zip" });
}

export function save(blob: Blob, name: string): void {
  const link = element("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  URL.revokeObjectURL(link.href);
}
