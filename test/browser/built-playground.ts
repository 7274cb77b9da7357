// The playground, built and served as any static host would.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "vite";
import { type StaticSite, serveFolder } from "./static-site.ts";

const at = (path: string) => fileURLToPath(new URL(`../../playground/${path}`, import.meta.url));

/** @param page what is built of it. */
export async function servePlayground(page: "index.html" | "dev.html"): Promise<StaticSite> {
  const outDir = await mkdtemp(join(tmpdir(), "hirec-playground-"));
  await build({
    configFile: at("vite.config.ts"),
    logLevel: "error",
    build: { outDir, emptyOutDir: true, reportCompressedSize: false, rollupOptions: { input: at(page) } },
  });
  const site = await serveFolder(outDir, "/a host's/path/to it/");
  return {
    url: site.url,
    close: async () => {
      await site.close();
      await rm(outDir, { recursive: true });
    },
  };
}
