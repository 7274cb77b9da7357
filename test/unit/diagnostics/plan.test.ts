// Plans that cannot be made, written or read back.

import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { check } from "../../../compiler/check.ts";
import { emit } from "../../../compiler/emit.ts";
import { compareFolder, compileModel, write } from "../../../compiler/index.ts";
import { PROFILES, type Profile } from "../../../compiler/profiles.ts";
import { verify } from "../../../compiler/verify.ts";
import { defineModel, dense, exact, quantized, type SoftmaxOptions, softmax } from "../../../dsl/index.ts";
import { readCompiledFolder } from "../../../runtime/node/compiled-folder.ts";
import { asPlan } from "../../../runtime/plan.ts";
import { loadModel } from "../../../runtime/webgpu/model.ts";
import { failureOf } from "./failure.ts";

const SMALL: SoftmaxOptions = { inputs: 64, rows: 256, weight: "head", estimator: quantized({ bits: 4 }), k: 4 };
const modelOf = (options: Partial<SoftmaxOptions>) => defineModel("small", { head: softmax({ ...SMALL, ...options }) });
const small = compileModel(modelOf({}));

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "hirec-plan-"));
});
afterEach(() => rm(folder, { recursive: true }));

describe("a layer that no kernel can serve is refused while compiling", () => {
  test("HIRE-PLAN-001 names the buffer that is larger than a binding, and both sizes", async () => {
    const large = {
      inputs: 64,
      rows: 2_000_000,
      k: 1_000_000,
      candidates: 2_000_000,
      select: exact(),
      batch: 16,
      crossover: "ignore" as const,
    };
    const { code, diagnostics } = await failureOf(() => compileModel(modelOf(large)));
    expect(code).toBe("HIRE-PLAN-001");
    expect(diagnostics.map(({ message }) => message)).toContain(
      `Layer "head": buffer "chosen" has ${2_000_000 * 8 * 16} bytes, but webgpu-subgroups binds at most 134217728`,
    );
    expect(diagnostics.some(({ message }) => message.includes('buffer "survivors"'))).toBe(true);
  });

  test.each([
    { bits: 8, inputs: 133_120, fits: true },
    { bits: 8, inputs: 133_121, fits: false },
    { bits: 4, inputs: 150_976, fits: true },
    { bits: 4, inputs: 150_977, fits: false },
  ] as const)("HIRE-PLAN-002 for integer scores of $bits bits over $inputs inputs: fits is $fits", async (each) => {
    const estimator = quantized({ bits: each.bits, group: "row" });
    const model = modelOf({ inputs: each.inputs, rows: 8, k: 1, estimator });
    if (each.fits) return expect(compileModel(model).plan.layers.head!.inputs).toBe(each.inputs);
    const { diagnostics } = await failureOf(() => compileModel(model));
    expect(diagnostics[0]).toEqual({
      code: "HIRE-PLAN-002",
      message: `Layer "head" is too wide for integer scores: ${each.inputs} inputs of ${each.bits} bits can exceed 32 bits`,
      fix: 'Use quantized({ …, activations: "f32" }), or fewer bits',
    });
    // The fix mends it.
    const floats = quantized({ bits: each.bits, group: "row", activations: "f32" });
    expect(compileModel(modelOf({ inputs: each.inputs, rows: 8, k: 1, estimator: floats })).files.size).toBeGreaterThan(
      1,
    );
  });

  test("HIRE-PLAN-004 names the profile that does not exist, and those that do", async () => {
    const { diagnostics } = await failureOf(() => compileModel(modelOf({}), { profiles: ["webgpu-max"] }));
    expect(diagnostics).toEqual([
      {
        code: "HIRE-PLAN-004",
        message: 'There is no device profile "webgpu-max"',
        fix: "Use one of: webgpu-subgroups, webgpu-default, cuda-sm100, cuda-sm90, cuda-sm80",
      },
    ]);
  });

  test.each([
    [{ targets: [] }, "No target is named", "Use one of: wgsl, cuda, torch"],
    [{ targets: ["metal" as "wgsl"] }, 'There is no target "metal"', "Use one of: wgsl, cuda, torch"],
    [{ profiles: [] }, "No device profile is named", /^Use one of: webgpu-subgroups, .*cuda-sm80$/],
    [
      { targets: ["wgsl"], profiles: ["cuda-sm80"] },
      'Profile "cuda-sm80" is of target cuda, which is not named',
      "Add target cuda",
    ],
    [
      { targets: ["wgsl", "cuda"], profiles: ["cuda-sm80"] },
      "No profile of target wgsl is named",
      "Add one of: webgpu-subgroups, webgpu-default",
    ],
  ] as const)("HIRE-PLAN-004 for %j", async (options, message, fix) => {
    const { diagnostics } = await failureOf(() => compileModel(modelOf({}), options));
    expect(diagnostics).toEqual([
      { code: "HIRE-PLAN-004", message, fix: typeof fix === "string" ? fix : expect.stringMatching(fix) },
    ]);
  });

  test.each([
    [{}, ["webgpu-subgroups", "webgpu-default"]],
    [{ targets: ["cuda"] }, ["cuda-sm100", "cuda-sm90", "cuda-sm80"]],
    [{ profiles: ["cuda-sm90", "webgpu-default"] }, ["webgpu-default", "cuda-sm90"]],
    [{ targets: ["cuda"], profiles: ["cuda-sm90"] }, ["cuda-sm90"]],
  ] as const)("%j compiles for %j", (options, wanted) => {
    expect(compileModel(modelOf({}), options).plan.programs.map(({ profile }) => profile)).toEqual(wanted);
  });

  test.each([
    ["sharedMemPerBlock", 1024, "bytes of shared memory"],
    ["maxThreadsPerBlock", 128, "threads"],
    ["maxGridSize", 3, "blocks"],
  ] as const)("HIRE-PLAN-009 when a CUDA profile lowers %s to %i", async (limit, most, what) => {
    const base = PROFILES.cuda[0]!;
    const profile: Profile = { ...base, name: "tiny-device", limits: { ...base.limits, [limit]: most } };
    const model = check({ model: modelOf({}), sites: [] });
    const { diagnostics } = await failureOf(() => emit(model, [profile]));
    for (const { code, message } of diagnostics) {
      expect(code).toBe("HIRE-PLAN-009");
      expect(message).toMatch(new RegExp(`^Kernel head_\\w+ needs \\d+ ${what}, but tiny-device has ${most}$`));
    }
  });

  test.each([
    ["maxComputeWorkgroupStorageSize", 1024, "bytes of workgroup memory"],
    ["maxComputeInvocationsPerWorkgroup", 128, "invocations"],
    ["maxStorageBuffersPerShaderStage", 3, "storage buffers"],
    ["maxComputeWorkgroupsPerDimension", 3, "workgroups"],
  ] as const)("HIRE-PLAN-009 when a profile lowers %s to %i", async (limit, most, what) => {
    const base = PROFILES.wgsl.at(-1)!;
    const profile: Profile = { ...base, name: "tiny-device", limits: { ...base.limits, [limit]: most } };
    const model = check({ model: modelOf({}), sites: [] });
    const { diagnostics } = await failureOf(() => emit(model, [profile]));
    for (const { code, message } of diagnostics) {
      expect(code).toBe("HIRE-PLAN-009");
      expect(message).toMatch(new RegExp(`^Kernel head_\\w+ needs \\d+ ${what}, but tiny-device has ${most}$`));
    }
  });
});

describe("HIRE-PLAN-003: a source that differs from its plan is refused", () => {
  const kernel = small.plan.programs.at(-1)!.layers.head!.kernels.at(-1)!;
  const source = small.files.get(kernel.file)!;

  test("the source that was emitted passes", () => {
    expect(() => verify(kernel, "wgsl", source)).not.toThrow();
  });

  test.each([
    ["another entry point", kernel.name, "another_name", /its entries are another_name, planned are head_rescore_topk/],
    [
      "another workgroup size",
      "@workgroup_size(256)",
      "@workgroup_size(64)",
      /its workgroupSize are 64, planned are 256/,
    ],
    ["another binding number", "@binding(0)", "@binding(7)", /its bindings are .*0\.7 read survivors/],
    [
      "another access",
      "var<storage, read_write> indices",
      "var<storage, read> indices",
      /bindings are .* read indices/,
    ],
    ["more workgroup memory", "array<u32, 16>", "array<u32, 32>", /its workgroupVariables are .*array<u32, 32>/],
    ["a syntax error", "fn ", "fn fn ", /it does not parse: /],
  ])("%s", async (_, from, to, why) => {
    const tampered = source.replaceAll(from, to);
    expect(tampered).not.toBe(source);
    const { code, diagnostics } = await failureOf(() => verify(kernel, "wgsl", tampered));
    expect(code).toBe("HIRE-PLAN-003");
    expect(diagnostics[0]!.message).toMatch(/^The source of kernel head_rescore_topk does not match its plan: /);
    expect(diagnostics[0]!.message).toMatch(why);
  });
});

describe("HIRE-PLAN-003: a CUDA source that differs from its plan is refused", () => {
  const { plan, files } = compileModel(modelOf({}), { targets: ["cuda"] });
  const kernel = plan.programs[0]!.layers.head!.kernels.at(-1)!;
  const source = files.get(kernel.file)!;

  test("the source that was emitted passes", () => {
    expect(() => verify(kernel, "cuda", source)).not.toThrow();
  });

  test.each([
    ["another entry point", kernel.name, "another_name", /its entries are another_name, planned are head_rescore_topk/],
    [
      "another block size",
      "__launch_bounds__(256,",
      "__launch_bounds__(64,",
      /its workgroupSize are 64, planned are 256/,
    ],
    [
      "parameters in another order",
      "const uint2* __restrict__ survivors",
      "const uint2* __restrict__ x",
      /its bindings are /,
    ],
    [
      "a parameter that may be written",
      "const float* __restrict__ x",
      "float* __restrict__ x",
      /bindings are .*,float\*/,
    ],
    [
      "another type",
      "const uint4* __restrict__ exact",
      "const uint2* __restrict__ exact",
      /bindings are .*uint2\* __restrict__ exact/,
    ],
    [
      "more shared memory",
      "section_totals[8]",
      "section_totals[32]",
      /its workgroupVariables are .*section_totals\[32\]/,
    ],
    [
      "shared memory that is not planned",
      "__shared__ uint3 digit;",
      "__shared__ uint3 digit; __shared__ int more;",
      /int more/,
    ],
    ["a kernel in another form", 'extern "C" __global__', "__global__", /it does not parse: __global__ occurs 1 times/],
    [
      "shared memory in another form",
      "__shared__ uint3 digit;",
      "__shared__ uint3 digit = {};",
      /__shared__ occurs 6 times, 5 of them/,
    ],
  ])("%s", async (_, from, to, why) => {
    const tampered = source.replaceAll(from, to);
    expect(tampered).not.toBe(source);
    const { code, diagnostics } = await failureOf(() => verify(kernel, "cuda", tampered));
    expect(code).toBe("HIRE-PLAN-003");
    expect(diagnostics[0]!.message).toMatch(why);
  });
});

test("all targets of a model share one pack", () => {
  const both = compileModel(modelOf({}), { targets: ["wgsl", "cuda"] }).plan;
  expect(both.packHash).toBe(small.plan.packHash);
  expect(both.layers).toEqual(small.plan.layers);
});

test("no layer is too large for a binding of CUDA", () => {
  const large = modelOf({ inputs: 4096, rows: 128256 });
  expect(compileModel(large, { targets: ["cuda"] }).plan.programs).toHaveLength(3);
});

describe("a folder that is no compiled model of this version is refused", () => {
  const plan = JSON.parse(small.files.get("plan.json")!);

  test.each([
    ["another format", { ...plan, format: 7 }, "HIRE-PLAN-005", "has plan format 7, but this hirec reads format 1"],
    ["no format", { name: "a package" }, "HIRE-PLAN-008", "is not a hirec plan: it has no format number"],
    ["null", null, "HIRE-PLAN-008", "is not a hirec plan: it has no format number"],
    ["no layers", { ...plan, layers: null }, "HIRE-PLAN-008", "is not a hirec plan: parts of it are missing"],
    ["no programs", { ...plan, programs: undefined }, "HIRE-PLAN-008", "is not a hirec plan: parts of it are missing"],
    ["an empty program", { ...plan, programs: [{}] }, "HIRE-PLAN-008", "is not a hirec plan: parts of it are missing"],
    [
      "a program without the layer",
      { ...plan, programs: [{ ...plan.programs[0], layers: {} }] },
      "HIRE-PLAN-008",
      "is not a hirec plan: parts of it are missing",
    ],
  ])("plan.json with %s", async (_, json, code, says) => {
    const path = join(folder, "plan.json");
    await writeFile(path, JSON.stringify(json));
    const { diagnostics } = await failureOf(() => readCompiledFolder(folder));
    expect(diagnostics).toMatchObject([{ code, message: `${path} ${says}` }]);
  });

  test("HIRE-PLAN-005 names the spec to compile again", async () => {
    const { diagnostics } = await failureOf(() => asPlan({ ...plan, format: 2 }, "plan.json"));
    expect(diagnostics[0]!.fix).toBe("Compile again with this version: hirec compile small.hire.ts");
  });

  test("HIRE-PLAN-008 for a plan.json that is not JSON, with the place in it", async () => {
    await writeFile(join(folder, "plan.json"), '{ "format": 1, ');
    const { code, diagnostics } = await failureOf(() => readCompiledFolder(folder));
    expect(code).toBe("HIRE-PLAN-008");
    expect(diagnostics[0]!.message).toMatch(/plan\.json cannot be read as part of a compiled model: .*JSON/);
  });

  test("HIRE-PLAN-008 for a folder without a plan, or no folder at all", async () => {
    for (const path of [folder, join(folder, "nowhere")]) {
      const { code, diagnostics } = await failureOf(() => readCompiledFolder(path));
      expect(code).toBe("HIRE-PLAN-008");
      expect(diagnostics[0]!.message).toContain(`${join(path, "plan.json")} cannot be read`);
    }
  });

  test("HIRE-PLAN-008 names the kernel source that is missing", async () => {
    await write(folder, small.files);
    await rm(join(folder, "webgpu-default/head.rescore_topk.wgsl"));
    const { code, diagnostics } = await failureOf(() => readCompiledFolder(folder));
    expect(code).toBe("HIRE-PLAN-008");
    expect(diagnostics[0]!.message).toContain("webgpu-default/head.rescore_topk.wgsl cannot be read");
  });

  test("HIRE-PLAN-008 also when a bundle lacks a source", async () => {
    const device = { features: new Set(), limits: small.plan.programs.at(-1)!.limits } as unknown as GPUDevice;
    const { diagnostics } = await failureOf(() =>
      loadModel(device, { plan: small.plan, sources: {} }, () => new Uint8Array()),
    );
    expect(diagnostics).toMatchObject([
      { code: "HIRE-PLAN-008", message: 'The compiled model "small" lacks webgpu-default/head.score_select.wgsl' },
    ]);
  });
});

describe("HIRE-PLAN-006: a folder that cannot be written is named, and nothing half-written stays", () => {
  test("the folder is a file", async () => {
    const file = join(folder, "taken");
    await writeFile(file, "");
    for (const work of [() => write(file, small.files), () => compareFolder(file, small.files)]) {
      const { code, diagnostics } = await failureOf(work);
      expect(code).toBe("HIRE-PLAN-006");
      expect(diagnostics[0]!.message).toContain(`${file} cannot be read: ENOTDIR`);
    }
  });

  test("a folder stands where a kernel should go", async () => {
    const place = join(folder, "webgpu-default/head.rescore_topk.wgsl");
    await mkdir(join(place, "inner"), { recursive: true });
    const { diagnostics } = await failureOf(() => write(folder, small.files));
    expect(diagnostics).toMatchObject([
      { code: "HIRE-PLAN-006", message: `${place} cannot be written: it is a folder` },
    ]);
    expect((await readdir(folder, { recursive: true })).filter((file) => file.endsWith(".tmp"))).toEqual([]);
  });

  test.runIf(existsSync("/dev/full"))("the disk is full", async () => {
    // The temporary file that plan.json is written to first, on a device that is always full.
    await symlink("/dev/full", join(folder, `.plan.json.${process.pid}.tmp`));
    const { diagnostics } = await failureOf(() => write(folder, small.files));
    expect(diagnostics[0]).toMatchObject({ code: "HIRE-PLAN-006" });
    expect(diagnostics[0]!.message).toContain("plan.json cannot be written: ENOSPC");
    expect(await readdir(folder)).not.toContain("plan.json");
    expect((await readdir(folder)).filter((file) => file.endsWith(".tmp"))).toEqual([]);
  });
});

test("a folder that only held orphans is removed with them", async () => {
  await write(folder, small.files);
  const { orphaned } = await write(folder, compileModel(modelOf({}), { profiles: ["webgpu-default"] }).files);
  expect(orphaned).toEqual(["webgpu-subgroups/head.rescore_topk.wgsl", "webgpu-subgroups/head.score_select.wgsl"]);
  expect((await readdir(folder)).sort()).toEqual(["index.ts", "plan.json", "webgpu-default"]);
});

test("HIRE-PLAN-001 when a single bucket of a sliced matrix is larger than a binding", async () => {
  const { code } = await failureOf(() => compileModel(modelOf({ estimator: dense(), inputs: 2 ** 22, rows: 64 })));
  expect(code).toBe("HIRE-PLAN-001");
});
