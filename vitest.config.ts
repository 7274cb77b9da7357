import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";
import { findLavapipe } from "./test/lavapipe/find.ts";

const source = (path: string) => fileURLToPath(new URL(path, import.meta.url));

// Compiling every kernel with LLVM takes minutes.
const lavapipe = process.env.HIREC_LONG === "1" ? findLavapipe() : undefined;

export default defineConfig({
  resolve: {
    // The suite runs the TypeScript sources; test/package runs what `npm pack` ships.
    alias: [
      { find: /^hirec$/, replacement: source("dsl/index.ts") },
      { find: /^hirec\/compiler$/, replacement: source("compiler/index.ts") },
      { find: /^hirec\/testing$/, replacement: source("compiler/testing.ts") },
      { find: /^hirec\/runtime$/, replacement: source("runtime/index.ts") },
      { find: /^hirec\/runtime\/cuda$/, replacement: source("runtime/cuda/index.ts") },
      { find: /^hirec\/runtime\/node$/, replacement: source("runtime/node/index.ts") },
    ],
  },
  test: {
    // vitest would leave a core free, which on two cores is half of them.
    maxWorkers: "100%",
    testTimeout: 120_000,
    hookTimeout: 120_000,
    projects: [
      { extends: true, test: { name: "hirec", include: ["test/**/*.test.ts"] } },
      // The cases once more, on another driver with another subgroup size.
      ...(lavapipe
        ? [
            {
              extends: true as const,
              test: {
                name: "lavapipe",
                include: ["test/software/{softmax-even,softmax-odd,ffn,slices,ffn-slices}.test.ts"],
                env: { HIREC_TEST_DRIVER: lavapipe },
              },
            },
          ]
        : []),
    ],
  },
});
