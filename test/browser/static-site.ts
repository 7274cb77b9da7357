// A folder served as any static host would, below some path.

import { readFile } from "node:fs/promises";
import { extname, join } from "node:path";
import { listen } from "../web/listen.ts";

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".css": "text/css",
  ".json": "application/json",
};

export interface StaticSite {
  readonly url: string;
  close(): Promise<void>;
}

/** @param base begins and ends with a slash; what lies elsewhere is not found. */
export async function serveFolder(folder: string, base: string): Promise<StaticSite> {
  const { origin, close } = await listen(async (request, response) => {
    const pathname = decodeURIComponent(new URL(request.url!, "http://site").pathname);
    const path = pathname.startsWith(base) ? pathname.slice(base.length) || "index.html" : undefined;
    const content =
      path !== undefined && !path.includes("..") && (await readFile(join(folder, path)).catch(() => undefined));
    if (!content) response.writeHead(404).end();
    else response.setHeader("Content-Type", TYPES[extname(path)] ?? "application/octet-stream").end(content);
  });
  return { url: new URL(base, origin).href, close };
}
