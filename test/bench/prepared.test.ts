// What a GPU machine gets: every layer of the bench, compiled, in a folder that is small.

import { mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { BENCH, layersOf } from "../../bench/gpu/layers.ts";
import { writePackage } from "../../bench/gpu/write-package.ts";

let folder: string;
let manifest: {
  readonly commit: string;
  readonly shapes: readonly { readonly name: string }[];
  readonly layers: readonly {
    readonly name: string;
    readonly of: string;
    readonly batch: number;
    readonly estimator: string;
    readonly plan: { readonly estimator: { readonly kind: string }; readonly batch: number };
    readonly reads: { readonly score: number; readonly exact: number; readonly total: number; readonly dense: number };
    readonly scoreKernels: readonly string[];
    readonly isDensePath: boolean;
  }[];
};

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "hirec-bench-prepared-"));
  await writePackage(folder, BENCH, "abc");
  manifest = JSON.parse(await readFile(join(folder, "manifest.json"), "utf8"));
}, 120_000);
afterAll(() => rm(folder, { recursive: true }));

test("the manifest says what each layer is, reads, and scores with", () => {
  expect(manifest.commit).toBe("abc");
  expect(manifest.layers.map(({ name }) => name)).toEqual(layersOf(BENCH).map(({ name }) => name));
  const shapes = manifest.shapes.map(({ name }) => name);
  for (const { name, of, batch, estimator, plan, reads, scoreKernels, isDensePath } of manifest.layers) {
    expect(shapes).toContain(of);
    expect(plan.batch).toBe(batch);
    expect(scoreKernels.length, name).toBeGreaterThan(0);
    expect(reads.total).toBe(reads.score + reads.exact);
    if (estimator === "int4" && batch === 1) expect(reads.total).toBeLessThan(reads.dense / 3);
    if (estimator !== "dense") expect([isDensePath, plan.estimator.kind === "dense"]).toEqual([false, false]);
  }
});

test("the package has the kernels of all layers, and is small enough to be carried anywhere", async () => {
  const files = await readdir(join(folder, "torch"), { recursive: true });
  const kernels = files.filter((file) => file.endsWith(".cu"));
  for (const { name } of manifest.layers) expect(kernels.some((file) => file.includes(`/${name}.`))).toBe(true);
  const sizes = await Promise.all(files.map((file) => stat(join(folder, "torch", file))));
  expect(sizes.reduce((sum, { size }) => sum + size, 0)).toBeLessThan(16e6);
  expect((await readdir(folder)).sort()).toEqual(["manifest.json", "torch"]);
});
