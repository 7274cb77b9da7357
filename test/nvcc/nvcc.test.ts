// Every kind of kernel compiles with nvcc for every architecture of the profiles: no warnings, no register spills, and no more
// of a multiprocessor than its plan says.

import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { check } from "../../compiler/check.ts";
import { emit } from "../../compiler/emit.ts";
import { type CudaProfile, PROFILES } from "../../compiler/profiles.ts";
import { usesTensorCores } from "../../compiler/tensor-cores.ts";
import { defineModel, ffn, type Model, softmax } from "../../dsl/index.ts";
import { type KernelPlan, kernelsOf, type Plan } from "../../runtime/plan.ts";
import { FFN_CASES } from "../cases/ffn-cases.ts";
import type { SoftmaxCase } from "../cases/softmax-case.ts";
import { SOFTMAX_CASES } from "../cases/softmax-cases.ts";
import { compile, excessOf, missing } from "./compile.ts";

const architectures = PROFILES.cuda.map(({ architecture }) => architecture);
const generated = fileURLToPath(new URL("../../generated", import.meta.url));

/** Every kind of kernel for every architecture takes minutes; HIREC_LONG=1 does that, and the short form one of them. */
const isLong = process.env.HIREC_LONG === "1";
const variantArchitectures = isLong ? architectures : ["sm_90"];

const LARGE = PROFILES.cuda[0]!;
const SMALL: CudaProfile = { ...LARGE, limits: { ...LARGE.limits, sharedMemPerBlock: 8192 } };

/** The first cases of feed-forwards, each of which has kernels of its own; the others differ in their numbers. */
const FFN_VARIANTS = 18;

/** Layers of the table whose kernels have another inner loop, the largest batch of each, under names of their own. */
function variants(): Model {
  const distinct = new Map<string, SoftmaxCase["layer"]>();
  for (const { layer } of SOFTMAX_CASES) {
    const { dtype, estimator, logSumExp, sample, select } = layer;
    const { kind, options } = estimator;
    const scored = { batch: layer.batch ?? 1, estimator: { kind, activations: "int8" as const, ...options } };
    const tensorCores = usesTensorCores(scored, LARGE);
    const loop =
      kind === "quantized"
        ? [
            options.bits,
            tensorCores ? options.group : options.group === "row",
            scored.estimator.activations,
            tensorCores,
          ]
        : [kind, dtype, options?.bits, options?.activations];
    const key = String([...loop, logSumExp === true && sample !== undefined, select?.kind === "statistical"]);
    const other = distinct.get(key);
    if (!other || (other.batch ?? 1) < (layer.batch ?? 1)) distinct.set(key, layer);
  }
  const layers = [...distinct.values()].map(
    (layer, i) => [`layer_${i}`, softmax({ crossover: "ignore", ...layer, weight: "w" })] as const,
  );
  const feedForwards = FFN_CASES.slice(0, FFN_VARIANTS).map(({ layer }, i) => {
    const weights = { up: "up", down: "down", ...(layer.gated !== false && { gate: "gate" }) };
    return [`ffn_${i}`, ffn({ crossover: "ignore", ...layer, weights })] as const;
  });
  return defineModel("variants", Object.fromEntries([...layers, ...feedForwards]));
}

/** Kernels as one source: nvcc takes a second for each file, whatever it holds. A kernel is C, so it is renamed. */
function together(kernels: readonly { readonly name: string; readonly source: string }[]): string {
  const one = ({ name, source }: (typeof kernels)[number], i: number) =>
    `#define ${name} ${name}_${i}\nnamespace kernel_${i} {\n${source}}\n#undef ${name}\n`;
  return kernels.map(one).join("");
}

/** The one kernel of a source. */
function kernelOf(source: string): string {
  return source.match(/__launch_bounds__\([^)]*\) (\w+)\(/)![1]!;
}

const nameOf = ({ name }: { readonly name: string }) => name;

/** The kernels of the committed plans by the paths of their sources, as planned for an architecture. */
async function committedKernels(architecture: string): Promise<Map<string, KernelPlan>> {
  const models = await readdir(generated);
  const plans = await Promise.all(
    models.map(async (model) => [model, JSON.parse(await readFile(join(generated, model, "plan.json"), "utf8"))]),
  );
  const profile = PROFILES.cuda.find((each) => each.architecture === architecture)!;
  return new Map(
    (plans as [string, Plan][]).flatMap(([model, plan]) =>
      kernelsOf(plan)
        .filter((each) => each.profile === profile.name)
        .map(({ kernel }) => [join(model, kernel.file), kernel] as const),
    ),
  );
}

describe.skipIf(missing)(`CUDA sources in nvcc${missing ? `, skipped: ${missing}` : ""}`, { timeout: 600_000 }, () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "hirec-nvcc-"));
  });
  afterAll(() => rm(folder, { recursive: true }));

  /** Many kernels as one source: nvcc takes a second for each file, whatever it holds. */
  async function writeTogether(name: string, profile: CudaProfile) {
    const model = check({ model: variants(), sites: [] });
    const { plan, files } = emit(model, [profile]);
    const known = profile === LARGE ? new Map<string, string>() : emit(model, [LARGE]).files;
    const kernels = Object.values(plan.programs[0]!.layers)
      .flatMap((layer) => layer.kernels)
      .filter(({ file }) => files.get(file) !== known.get(file));
    const text = kernels.map(({ file }, i) => `namespace kernel_${i} {\n${files.get(file)}}\n`).join("");
    const path = join(folder, `${name}.cu`);
    await writeFile(path, text);
    // What no shared memory is left for lies in registers, beside the scores; on a real device it is.
    const crowded = kernels.filter(({ choices }) => choices.tail && !choices.tailsInWorkgroup);
    return { path, kernels, crowded: profile === SMALL ? crowded.map(nameOf) : [] };
  }

  test("the committed sources of every example compile as they are, without warnings or spills", async () => {
    // The package for PyTorch holds copies of those beside the plan.
    const all = (await readdir(generated, { recursive: true })).filter((file) => file.endsWith(".cu"));
    const files = all.filter((file) => !file.includes("torch"));
    expect(files.length).toBeGreaterThan(0);
    const sources = await Promise.all(files.map((file) => readFile(join(generated, file), "utf8")));
    // Nothing of one source reaches the next: a namespace holds all that it says.
    for (const source of sources)
      expect(source.match(/^ *#(?!pragma unroll\b|if .*__CUDA_ARCH__|else$|endif$).*/gm)).toBe(null);
    const path = join(folder, "examples.cu");
    await writeFile(path, together(sources.map((source) => ({ name: kernelOf(source), source }))));
    for (const architecture of architectures) {
      const { kernels } = await compile(path, architecture);
      expect(kernels.map(nameOf).sort()).toEqual(sources.map((source, i) => `${kernelOf(source)}_${i}`).sort());
      expect(kernels.filter(({ spilledBytes }) => spilledBytes > 0)).toEqual([]);
      const planned = await committedKernels(architecture);
      const found = new Map(kernels.map((kernel) => [kernel.name, kernel]));
      const excess = files.flatMap((file, i) =>
        excessOf(found.get(`${kernelOf(sources[i]!)}_${i}`)!, planned.get(file)!),
      );
      expect(excess).toEqual([]);
    }
  });

  test.each([
    ["48 KiB of shared memory", LARGE] as const,
    // No card has so little.
    ...(isLong ? [["8 KiB, where they differ", SMALL] as const] : []),
  ])("the kernels of all variants compile without warnings or spills, with %s", async (name, profile) => {
    const { path, kernels, crowded } = await writeTogether(name.replaceAll(" ", "-"), profile);
    const compiled = await Promise.all(variantArchitectures.map((architecture) => compile(path, architecture)));
    for (const { kernels: found } of compiled) {
      expect(found.map(nameOf).sort()).toEqual(kernels.map(nameOf).sort());
      expect(found.filter(({ name, spilledBytes }) => spilledBytes > 0 && !crowded.includes(name))).toEqual([]);
      const planned = new Map(kernels.map((kernel) => [kernel.name, kernel]));
      expect(found.flatMap((each) => excessOf(each, planned.get(each.name)!))).toEqual([]);
    }
  });

  test("a source with a warning is refused, and spills are counted", async () => {
    const unused = join(folder, "unused.cu");
    await writeFile(unused, 'extern "C" __global__ void unused(int* to) {\n  int never = 1;\n  *to = 2;\n}\n');
    await expect(compile(unused, "sm_80")).rejects.toThrow(/never.*was declared but never referenced/);
    const spilling = join(folder, "spilling.cu");
    const body = [
      "  float kept[96];",
      "#pragma unroll\n  for (int i = 0; i < 96; i++) kept[i] = at[i * 32];",
      "  __syncthreads();",
      "#pragma unroll\n  for (int i = 0; i < 96; i++) at[i] = kept[i] * kept[95 - i];",
    ];
    await writeFile(
      spilling,
      `extern "C" __global__ void __launch_bounds__(1024, 2) spilling(float* at) {\n${body.join("\n")}\n}\n`,
    );
    const { kernels } = await compile(spilling, "sm_80");
    expect(kernels[0]!.spilledBytes).toBeGreaterThan(0);
  });
});
