// hirec/testing as users have it: a test file of three lines in a project of their own, run by vitest.

import { mkdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type InstalledPackage, installPackage, root, runProgram } from "./install.ts";

const SPEC = `import { defineModel, quantized, softmax } from "hirec";
export default defineModel("small", {
  head: softmax({ inputs: 32, rows: 200, dtype: "f32", weight: "w", estimator: quantized({ bits: 8 }), k: 4 }),
});
`;
const TEST = `import { goldenTest } from "hirec/testing";

goldenTest("small.hire.ts");
`;

let installed: InstalledPackage;
const at = (file: string) => join(installed.project, file);
const kernel = "generated/small/webgpu-default/head.score_select.wgsl";

beforeAll(async () => {
  installed = await installPackage();
  const vitest = join(installed.project, "node_modules/vitest");
  await mkdir(dirname(vitest), { recursive: true });
  await symlink(join(root, "node_modules/vitest"), vitest);
  await writeFile(at("golden.test.ts"), TEST);
});
afterAll(() => installed.remove());

beforeEach(async () => {
  await rm(at("generated"), { recursive: true, force: true });
  await writeFile(at("small.hire.ts"), SPEC);
  await hirec("compile", "small.hire.ts");
});

const hirec = (...args: string[]) =>
  runProgram(process.execPath, [join(installed.folder, "dist/compiler/cli/main.js"), ...args], installed.project);

async function vitest(folder = installed.project) {
  const env = { ...process.env, NO_COLOR: "1", FORCE_COLOR: "0", VITEST: undefined, CI: "1" };
  const program = join(root, "node_modules/vitest/vitest.mjs");
  const outcome = await runProgram(process.execPath, [program, "run", "--root", "."], folder, env);
  return { code: outcome.code, output: `${outcome.stdout}${outcome.stderr}` };
}

describe("hirec init", () => {
  it.each(["an empty folder", "a package that exists"])("starts %s whose test fails, then holds", async (what) => {
    const project = at("fresh");
    await rm(project, { recursive: true, force: true });
    if (what === "a package that exists") {
      await mkdir(project);
      await writeFile(join(project, "package.json"), '{ "type": "commonjs" }');
    }
    const started = await hirec("init", "fresh");
    expect(started).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^created lm-head\.hire\.ts, lm-head\.test\.ts/),
    });
    const before = await vitest(project);
    // The script that was written, with what the package's bin would be.
    const { scripts } = JSON.parse(await readFile(join(project, "package.json"), "utf8"));
    const [, ...args] = (scripts.kernels as string).split(" ");
    const cli = join(installed.folder, "dist/compiler/cli/main.js");
    const compiled = await runProgram(process.execPath, [cli, ...args], project);
    const after = await vitest(project);
    await rm(project, { recursive: true });
    expect(started.stdout).toContain("\nNext:\n  cd fresh\n  npm install --save-dev hirec vitest\n  npm run kernels\n");
    expect(before).toMatchObject({ code: 1, output: expect.stringContaining("plan.json is missing") });
    expect(compiled).toMatchObject({ code: 0, stdout: expect.stringContaining("lm-head: generated/lm-head") });
    expect(after).toMatchObject({ code: 0, output: expect.stringMatching(/Tests +\d+ passed/) });
  });
});

describe("goldenTest", () => {
  it("passes, with a test per file, when the folder is what the spec compiles to", async () => {
    const { code, output } = await vitest();
    expect({ code, output }).toMatchObject({ code: 0, output: expect.stringMatching(/Tests +7 passed/) });
  });

  it("shows what differs in a changed file as a diff, and the command that updates it", async () => {
    const text = await readFile(at(kernel), "utf8");
    await writeFile(at(kernel), text.replace("const LANES = 64u;", "const LANES = 65u;"));
    const { code, output } = await vitest();
    expect(code).toBe(1);
    expect(output).toMatch(/Tests +1 failed \| 6 passed/);
    expect(output).toContain(`${kernel} is stale. Update it with: npx hirec compile small.hire.ts`);
    const [, diff] = /(- Compiled now[\s\S]*?)\n\s*\n\s*⎯/.exec(output) ?? [];
    expect(diff).toMatch(/^- Compiled now\n\+ In the folder\n\n@@ .* @@\n/);
    expect(diff).toMatch(/\n- const LANES = 64u;\n\+ const LANES = 65u;\n/);
    // Only what differs, and three lines around it.
    expect(diff!.split("\n").length).toBeLessThan(15);
  });

  it("names a missing file", async () => {
    await rm(at(kernel));
    const { code, output } = await vitest();
    expect({ code, output }).toMatchObject({ code: 1, output: expect.stringMatching(/Tests +1 failed \| 6 passed/) });
    expect(output).toContain(`${kernel} is missing. Update it with: npx hirec compile small.hire.ts`);
  });

  it("names an orphaned file", async () => {
    await writeFile(at("generated/small/old.wgsl"), await readFile(at(kernel)));
    const { code, output } = await vitest();
    expect({ code, output }).toMatchObject({ code: 1, output: expect.stringMatching(/Tests +1 failed \| 6 passed/) });
    expect(output).toContain("orphaned: generated/small/old.wgsl. Update it with: npx hirec compile small.hire.ts");
  });

  it("shows the place of what is wrong with a spec that does not compile", async () => {
    await writeFile(at("small.hire.ts"), SPEC.replace("k: 4", "k: 400"));
    const { code, output } = await vitest();
    expect({ code, output }).toMatchObject({ code: 1, output: expect.stringMatching(/Tests +1 failed/) });
    expect(output).toContain("error HIRE-SPEC-012: `k` (400) is larger than `rows` (200)");
    expect(output).toContain("--> small.hire.ts:3:");
  });

  it("takes the folder and the profiles that were compiled for", async () => {
    await rm(at("generated"), { recursive: true });
    await hirec("compile", "small.hire.ts", "--out", "kernels", "--profile", "webgpu-default");
    const options = '{ out: "kernels", profiles: ["webgpu-default"] }';
    await writeFile(at("golden.test.ts"), TEST.replace('("small.hire.ts")', `("small.hire.ts", ${options})`));
    const good = await vitest();
    await rm(at("kernels/small/index.ts"));
    const bad = await vitest();
    await writeFile(at("golden.test.ts"), TEST);
    expect(good).toMatchObject({ code: 0, output: expect.stringMatching(/Tests +5 passed/) });
    const command = "npx hirec compile small.hire.ts --out kernels --profile webgpu-default";
    expect(bad).toMatchObject({ code: 1, output: expect.stringContaining(`is missing. Update it with: ${command}`) });
  });
});
