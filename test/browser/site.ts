// A static site under a strict content security policy, whose files are in memory and whose packs may fail.

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { answer, type Faults } from "../web/pack-server.ts";

/** Scripts, workers and data of the site itself, and nothing that is made out of text. */
export const POLICY = "default-src 'self'";

export interface Site {
  readonly url: string;
  /** By path, such as `/page.js`. */
  readonly files: Map<string, string | Uint8Array>;
  /** Paths of the requests since it was emptied, with the first byte where that is not 0. */
  readonly requests: string[];
  /** What goes wrong with packs. */
  faults: Faults;
  close(): Promise<void>;
}

const TYPES: Readonly<Record<string, string>> = { html: "text/html", js: "text/javascript", json: "application/json" };

/** A page that runs what the tests ask it to, see page.ts. */
export async function openSite(): Promise<Site> {
  const site: Site = {
    url: "",
    files: new Map<string, string | Uint8Array>([
      ["/", '<!doctype html><title>hirec</title><script type="module" src="/page.js"></script>'],
      ["/page.js", await bundlePage()],
    ]),
    requests: [],
    faults: {},
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  const server = createServer((request, response) => {
    const path = new URL(request.url!, "http://site").pathname;
    const begin = Number(request.headers.range?.match(/^bytes=(\d+)-$/)?.[1] ?? 0);
    site.requests.push(begin > 0 ? `${path} from ${begin}` : path);
    const found = site.files.get(path);
    response.setHeader("Content-Security-Policy", POLICY);
    response.setHeader("Content-Type", TYPES[path.split(".").at(-1)!] ?? (path === "/" ? TYPES.html! : "text/plain"));
    if (found === undefined) response.writeHead(404).end();
    else if (path.endsWith(".pack")) answer({ file: found as Uint8Array, faults: site.faults }, begin, response);
    else response.end(found);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return Object.assign(site, { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/` });
}

/** The page with the runtime in it, from its public entry. */
async function bundlePage(): Promise<Uint8Array> {
  const here = fileURLToPath(new URL(".", import.meta.url));
  const { outputFiles } = await build({
    entryPoints: [`${here}page.ts`],
    bundle: true,
    write: false,
    format: "esm",
    platform: "browser",
    target: "es2023",
  });
  return outputFiles[0]!.contents;
}
