// A folder served as any static host would, below some path.

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join } from "node:path";

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
  const server = createServer(async (request, response) => {
    const pathname = decodeURIComponent(new URL(request.url!, "http://site").pathname);
    const path = pathname.startsWith(base) ? pathname.slice(base.length) || "index.html" : undefined;
    const content =
      path !== undefined && !path.includes("..") && (await readFile(join(folder, path)).catch(() => undefined));
    if (!content) response.writeHead(404).end();
    else response.writeHead(200, { "Content-Type": TYPES[extname(path)] ?? "application/octet-stream" }).end(content);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: new URL(base, `http://127.0.0.1:${(server.address() as AddressInfo).port}`).href,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
