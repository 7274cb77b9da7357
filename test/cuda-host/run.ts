// A case on the CPU: compiled for CUDA, run by the program that build.ts makes of its sources.

import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { check } from "../../compiler/check.ts";
import { emit } from "../../compiler/emit.ts";
import { type CudaProfile, PROFILES } from "../../compiler/profiles.ts";
import { defineModel, softmax } from "../../dsl/index.ts";
import type { SoftmaxInputs } from "../../runtime/inputs.ts";
import { readWeights, type WeightSource } from "../../runtime/layer.ts";
import type {
  BufferPlan,
  FfnPlan,
  LayerPlan,
  LayerProgram,
  Plan,
  SoftmaxPlan,
  TuningPlan,
} from "../../runtime/plan.ts";
import { LAYER, packed } from "../cases/compile-case.ts";
import { compileFfn } from "../cases/compile-ffn.ts";
import type { FfnCase, FfnData } from "../cases/ffn-case.ts";
import { inputWords } from "../cases/input-words.ts";
import { type CaseData, caseData, type SoftmaxCase } from "../cases/softmax-case.ts";
import type { NamedSource } from "./build.ts";

const execute = promisify(execFile);

export const CUDA = PROFILES.cuda.at(-1)!;

/** A device of 16 KiB, on which layers of the table need the kernels that large layers need on a real one. */
export const SMALL_CUDA: CudaProfile = {
  ...CUDA,
  name: "cuda-small",
  limits: { ...CUDA.limits, sharedMemPerBlock: 16384 },
};

export interface CudaLayer {
  readonly plan: Plan;
  readonly sources: Readonly<Record<string, string>>;
  readonly layer: LayerPlan;
  readonly program: LayerProgram;
  /** In launch order. */
  readonly kernels: readonly NamedSource[];
  /** `x` is `[tokens, inputs]`. */
  readonly data: { readonly x: Float32Array; readonly taken?: SoftmaxInputs };
  readonly weights: WeightSource;
}

export interface CudaCase extends CudaLayer {
  readonly layer: SoftmaxPlan;
  readonly data: CaseData;
}

export interface CudaFfn extends CudaLayer {
  readonly layer: FfnPlan;
  readonly data: FfnData;
}

export function compileFfnForCuda(ffnCase: FfnCase, profile: CudaProfile, tuning?: TuningPlan): CudaFfn {
  const { plan, sources, layer, data, weights } = compileFfn(ffnCase, [profile], tuning);
  const program = plan.programs[0]!.layers[LAYER]!;
  return { plan, sources, layer, program, kernels: sourcesOf(program, sources), data, weights };
}

function sourcesOf({ kernels }: LayerProgram, sources: Readonly<Record<string, string>>): NamedSource[] {
  return kernels.map(({ name, file }) => ({ name, source: sources[file]! }));
}

export function compileForCuda(softmaxCase: SoftmaxCase, profile: CudaProfile, tuning?: TuningPlan): CudaCase {
  const { layer: options } = softmaxCase;
  const model = defineModel("case", { [LAYER]: softmax({ crossover: "ignore", ...options, weight: LAYER }) });
  const tunings = tuning && { [profile.name]: { [LAYER]: tuning } };
  const { plan, files } = emit(check({ model, sites: [] }), [profile], [], tunings);
  const layer = plan.layers[LAYER] as SoftmaxPlan;
  const program = plan.programs[0]!.layers[LAYER]!;
  const sources = Object.fromEntries(files);
  return { plan, sources, layer, program, kernels: sourcesOf(program, sources), ...numbersOf(softmaxCase, layer) };
}

type Numbers = Pick<CudaCase, "data" | "weights">;
const numbers = new WeakMap<SoftmaxCase, Numbers>();

/** Packed once: layouts depend on the layer, not on the profile. */
function numbersOf(softmaxCase: SoftmaxCase, layer: SoftmaxPlan): Numbers {
  if (!numbers.has(softmaxCase)) {
    const data = caseData(softmaxCase);
    numbers.set(softmaxCase, { data, weights: packed(layer, data) });
  }
  return numbers.get(softmaxCase)!;
}

/** The words of every buffer that a launch writes, by name. */
export type Written = ReadonlyMap<string, Uint32Array>;

const KIND: Readonly<Record<BufferPlan["role"], number>> = { weight: 0, input: 1, scratch: 2, output: 2, indirect: 2 };

/**
 * Runs all tokens of a case, `batch` per launch, the last batch filled up with zeros, once for every seed.
 * @returns what each launch wrote, seed by seed.
 * @throws Error with what the program says when it finds a mistake.
 */
export async function runOnCpu(
  path: string,
  { layer, program, data, weights }: CudaLayer,
  seeds: readonly number[],
): Promise<Written[][]> {
  const { buffers, kernels } = program;
  const batch = layer.batch * layer.inputs;
  const launches = Math.ceil(data.x.length / batch);
  const x = new Float32Array(launches * batch);
  x.set(data.x);
  const head = [
    ...[seeds.length, launches, kernels.length, buffers.length],
    ...seeds,
    ...kernels.flatMap(({ launches: [launch], workgroupSize, bindings }) => [
      ...launch!.workgroups,
      workgroupSize,
      bindings.length,
      ...bindings.map((binding) => buffers.findIndex(({ name }) => name === (binding.buffer ?? binding.name))),
    ]),
    ...buffers.flatMap(({ role, bytes }) => [KIND[role], bytes]),
  ];
  const weightBytes = await Promise.all(
    buffers
      .filter(({ role }) => role === "weight")
      .map(({ name }) => readWeights(weights, layer.tensors.find(({ role }) => role === name)!)),
  );
  const inputs = Array.from({ length: launches }, (_, launch) => {
    const ofLaunch = x.subarray(launch * batch, (launch + 1) * batch);
    return buffers
      .filter(({ role }) => role === "input")
      .map(({ name }) => bytesOf(inputWords(name, layer, ofLaunch, data.taken, launch * layer.batch)));
  });
  const folder = await mkdtemp(join(tmpdir(), "hirec-cuda-run-"));
  const [job, result] = [join(folder, "job"), join(folder, "result")];
  try {
    await writeFile(job, Buffer.concat([bytesOf(Uint32Array.from(head)), ...weightBytes, ...inputs.flat()]));
    await execute(path, [job, result]);
    return wordsOf(await readFile(result), program, launches, seeds.length);
  } catch (thrown) {
    throw new Error(String((thrown as { stderr?: string }).stderr || thrown));
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Candidates may be collected in any order, and what belongs to them lies in that order. */
const UNORDERED = ["chosen", "slots", "partials"];

/** Names of the buffers in which two launches differ. */
export function differences(one: Written, other: Written): string[] {
  const isSame = (name: string) => Buffer.compare(bytesOf(one.get(name)!), bytesOf(other.get(name)!)) === 0;
  return [...one.keys()].filter((name) => !UNORDERED.includes(name) && !isSame(name));
}

function wordsOf(result: Buffer, { buffers }: LayerProgram, launches: number, seeds: number): Written[][] {
  const written = buffers.filter(({ role }) => KIND[role] === 2);
  let at = 0;
  const launch = () =>
    new Map(
      written.map(({ name, bytes }) => {
        const words = new Uint32Array(new Uint8Array(result.subarray(at, at + bytes)).buffer);
        at += bytes;
        return [name, words];
      }),
    );
  return Array.from({ length: seeds }, () => Array.from({ length: launches }, launch));
}

function bytesOf({ buffer, byteOffset, byteLength }: Float32Array | Uint32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
