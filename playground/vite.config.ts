import { fileURLToPath } from "node:url";
import { defineConfig, type Plugin } from "vite";

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** The compiler reads templates from files; a page has them in its bundle. */
function bundledTexts(): Plugin {
  return {
    name: "hirec-bundled-texts",
    enforce: "pre",
    async resolveId(source, importer) {
      const resolved = await this.resolve(source, importer, { skipSelf: true });
      return resolved?.id === at("../compiler/texts.ts") ? at("compile/texts.ts") : undefined;
    },
  };
}

export default defineConfig({
  root: at("."),
  // Whatever host and path it is served from.
  base: "./",
  plugins: [bundledTexts()],
  worker: { format: "es", plugins: () => [bundledTexts()] },
  build: { outDir: at("../dist-playground"), emptyOutDir: true, target: "es2023" },
});
