import { execFile } from "node:child_process";
import { cp, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { type CompiledSpec, compareFolder, compile, type Target } from "hirec/compiler";
import { type NodeDevice, requestNullDevice } from "hirec/runtime/node";
import { goldenTest } from "hirec/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { verify } from "../../compiler/verify.ts";
import { compileKernel } from "../../runtime/webgpu/program.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const generated = join(root, "generated");

/** Every spec of every example. */
const specs = (await readdir(join(root, "examples"), { recursive: true }))
  .filter((path) => path.endsWith(".hire.ts"))
  .map((path) => join(root, "examples", path))
  .sort();

/** tiny-lm has a package for PyTorch too; of the large examples it would be the same code around larger numbers. */
function targetsOf(spec: string) {
  return spec.endsWith("tiny-lm.hire.ts") ? (["wgsl", "torch"] as const) : (["wgsl", "cuda"] as const);
}

const compiled: CompiledSpec[] = [];
beforeAll(async () => {
  for (const spec of specs) compiled.push(await compile(spec, { targets: targetsOf(spec) }));
});

for (const spec of specs)
  goldenTest(relative(process.cwd(), spec), { out: relative(process.cwd(), generated), targets: targetsOf(spec) });

describe("generated/", () => {
  it("has an example to hold", () => {
    expect(specs.length).toBeGreaterThan(0);
  });

  it("holds no folder that no example emits, and no file that hirec did not write", async () => {
    expect((await readdir(generated)).sort()).toEqual(compiled.map(({ plan }) => plan.model).sort());
    for (const { plan, files } of compiled) {
      const entries = await readdir(join(generated, plan.model), { recursive: true, withFileTypes: true });
      const present = entries
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name).slice(join(generated, plan.model).length + 1));
      expect(present.sort()).toEqual([...files.keys()].sort());
    }
  });

  it("is the same from any directory, in any locale and time zone", async () => {
    const elsewhere = await mkdtemp(join(tmpdir(), "hirec-golden-"));
    try {
      for (const spec of specs) await cp(spec, join(elsewhere, spec.split("/").at(-1)!));
      for (const spec of await readdir(elsewhere)) {
        const cli = [join(root, "dist/compiler/cli/main.js"), "compile", spec, "--out", "out"];
        await promisify(execFile)(process.execPath, [...cli, "--target", targetsOf(spec).join(",")], {
          cwd: elsewhere,
          env: { PATH: process.env.PATH, LC_ALL: "tr_TR.UTF-8", TZ: "Asia/Kathmandu" },
        });
      }
      for (const { plan, files } of compiled) {
        const { unchanged } = await compareFolder(join(elsewhere, "out", plan.model), files);
        expect(unchanged).toEqual([...files.keys()].sort());
      }
    } finally {
      await rm(elsewhere, { recursive: true });
    }
  });
});

describe("every committed kernel", () => {
  let device: NodeDevice;
  beforeAll(async () => {
    device = await requestNullDevice();
  });
  afterAll(() => device.close());

  const eachKernel = async (target: Target, test: (kernel: Kernel, source: string) => Promise<void> | void) => {
    let count = 0;
    for (const { plan } of compiled) {
      const programs = plan.programs.filter((program) => program.target === target);
      for (const kernel of programs.flatMap(({ layers }) => Object.values(layers).flatMap((l) => l.kernels))) {
        await test(kernel, await readFile(join(generated, plan.model, kernel.file), "utf8"));
        count++;
      }
    }
    expect(count).toBeGreaterThan(0);
  };
  type Kernel = Parameters<typeof verify>[0];

  it.each(["wgsl", "cuda"] as const)(
    "declares the bindings, workgroup size and workgroup memory of its plan, in %s",
    (target) => eachKernel(target, (kernel, source) => verify(kernel, target, source)),
  );

  it("is accepted by Tint", () =>
    eachKernel("wgsl", async (kernel, source) => {
      await compileKernel(device.device, kernel, source);
    }));

  it("gives every variable an initial value, which loops do not reset on every driver", () =>
    eachKernel("wgsl", (kernel, source) => {
      const uninitialized = source.split("\n").filter((line) => /^\s+var\b[^=]*;/.test(line));
      expect({ kernel: kernel.name, uninitialized }).toEqual({ kernel: kernel.name, uninitialized: [] });
    }));

  it("is refused by Tint when it is broken, so acceptance means something", () =>
    eachKernel("wgsl", async (kernel, source) => {
      const broken = source.replace("u32", "u33");
      await expect(compileKernel(device.device, kernel, broken)).rejects.toThrow(/HIRE-RUN-003.*line \d+/);
    }));
});
