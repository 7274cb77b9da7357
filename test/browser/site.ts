// A static site under a strict content security policy, whose files are in memory and whose packs may fail.

import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { listen } from "../web/listen.ts";
import { answer, type Faults, firstByte } from "../web/pack-server.ts";

/** Scripts, workers and data of the site itself, and nothing that is made out of text. */
const POLICY = "default-src 'self'";

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
  const { origin, close } = await listen((request, response) => {
    const path = new URL(request.url!, origin).pathname;
    const begin = firstByte(request);
    site.requests.push(begin > 0 ? `${path} from ${begin}` : path);
    const found = site.files.get(path);
    response.setHeader("Content-Security-Policy", POLICY);
    response.setHeader("Content-Type", TYPES[path.split(".").at(-1)!] ?? (path === "/" ? TYPES.html! : "text/plain"));
    if (found === undefined) response.writeHead(404).end();
    else if (path.endsWith(".pack")) answer({ file: found as Uint8Array, faults: site.faults }, begin, response);
    else response.end(found);
  });
  const site: Site = {
    url: `${origin}/`,
    files: new Map<string, string | Uint8Array>([
      ["/", '<!doctype html><title>hirec</title><script type="module" src="/page.js"></script>'],
      ["/page.js", await bundlePage()],
    ]),
    requests: [],
    faults: {},
    close,
  };
  return site;
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
