import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const source = (path: string) => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  resolve: {
    // The suite runs the TypeScript sources; test/package runs what `npm pack` ships.
    alias: [
      { find: /^hirec$/, replacement: source("dsl/index.ts") },
      { find: /^hirec\/compiler$/, replacement: source("compiler/index.ts") },
      { find: /^hirec\/testing$/, replacement: source("compiler/testing.ts") },
      { find: /^hirec\/runtime$/, replacement: source("runtime/index.ts") },
      { find: /^hirec\/runtime\/node$/, replacement: source("runtime/node/index.ts") },
    ],
  },
  test: { include: ["test/**/*.test.ts"], testTimeout: 60_000, hookTimeout: 60_000 },
});
