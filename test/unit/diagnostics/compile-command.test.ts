// Codes that only `hirec compile` gives, because they take several specs or a folder of earlier output.

import { appendFile, copyFile, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { compileCommand } from "../../../compiler/cli/commands/compile.ts";
import type { Diagnostic } from "../../../runtime/errors.ts";

const SPEC = `import { defineModel, dense, softmax } from "hirec";
export default defineModel("tiny", {
  head: softmax({ inputs: 64, rows: 256, weight: "head", estimator: dense(), k: 4 }),
});
`;

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "hirec-compile-"));
  await writeFile(join(folder, "tiny.hire.ts"), SPEC);
});
afterEach(async () => {
  vi.restoreAllMocks();
  await rm(folder, { recursive: true });
});

interface Outcome {
  readonly exitCode: unknown;
  readonly diagnostics: readonly Diagnostic[];
}

async function compile(specs: readonly string[], check = false): Promise<Outcome> {
  let output = "";
  const exit = vi.spyOn(process, "exit").mockReturnValue(undefined as never);
  vi.spyOn(process.stdout, "write").mockImplementation((text, done?: unknown) => {
    output += text;
    if (typeof done === "function") done();
    return true;
  });
  const paths = specs.map((spec) => join(folder, spec));
  const options = { json: true, spec: paths, out: join(folder, "out"), profile: undefined, check };
  await compileCommand.handler({ ...options, _: [], $0: "hirec" } as never);
  const [[exitCode] = []] = exit.mock.calls;
  vi.restoreAllMocks();
  return { exitCode, diagnostics: (JSON.parse(output) as Partial<Outcome>).diagnostics ?? [] };
}

test("HIRE-SPEC-019 names both specs of one model name, and nothing is written", async () => {
  await copyFile(join(folder, "tiny.hire.ts"), join(folder, "copy.hire.ts"));
  const { exitCode, diagnostics } = await compile(["tiny.hire.ts", "copy.hire.ts"]);
  expect(exitCode).toBe(1);
  expect(diagnostics).toHaveLength(1);
  const { code, message } = diagnostics[0]!;
  expect(code).toBe("HIRE-SPEC-019");
  expect(message).toContain("tiny.hire.ts");
  expect(message).toContain("copy.hire.ts");
  expect(message).toContain('"tiny"');
  expect(await readdir(folder)).not.toContain("out");
});

test("HIRE-PLAN-007 names each stale, missing and orphaned file, and touches none", async () => {
  const missing = await compile(["tiny.hire.ts"], true);
  expect(missing.exitCode).toBe(1);
  expect(missing.diagnostics.map(({ message }) => message)).toContain(
    `${join(folder, "out/tiny/plan.json")} is missing`,
  );
  expect(await readdir(folder)).not.toContain("out");

  expect(await compile(["tiny.hire.ts"])).toEqual({ exitCode: 0, diagnostics: [] });
  expect(await compile(["tiny.hire.ts"], true)).toEqual({ exitCode: 0, diagnostics: [] });

  const kernels = join(folder, "out/tiny/webgpu-default");
  await copyFile(join(kernels, "head.topk.wgsl"), join(kernels, "tail.topk.wgsl"));
  await appendFile(join(kernels, "head.topk.wgsl"), "// edited\n");
  await rm(join(kernels, "head.score_select.wgsl"));
  const before = await readdir(kernels);
  const { exitCode, diagnostics } = await compile(["tiny.hire.ts"], true);
  expect(exitCode).toBe(1);
  expect(diagnostics).toEqual(
    ["head.topk.wgsl is stale", "head.score_select.wgsl is missing", "tail.topk.wgsl is orphaned"].map((what) => ({
      code: "HIRE-PLAN-007",
      message: join(kernels, what),
      fix: `Run: hirec compile ${join(folder, "tiny.hire.ts")}`,
    })),
  );
  expect(await readdir(kernels)).toEqual(before);
});

test("a spec that fails leaves the output of every spec unwritten", async () => {
  await writeFile(join(folder, "broken.hire.ts"), SPEC.replace("k: 4", "k: 400"));
  const { exitCode, diagnostics } = await compile(["tiny.hire.ts", "broken.hire.ts"]);
  expect(exitCode).toBe(1);
  expect(diagnostics).toMatchObject([
    { code: "HIRE-SPEC-012", span: { file: join(folder, "broken.hire.ts"), line: 3, column: 81 } },
  ]);
  expect(await readdir(folder)).not.toContain("out");
});
