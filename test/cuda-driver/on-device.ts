// A case of the tables on a CUDA device, through `loadCudaModel`: what it returns is judged as on every other backend.

import type { CudaProfile } from "../../compiler/profiles.ts";
import type { CudaDevice } from "../../runtime/cuda/device.ts";
import { loadCudaModel } from "../../runtime/cuda/model.ts";
import type { SoftmaxResult } from "../../runtime/layer.ts";
import { createReferenceSoftmax } from "../../runtime/reference/softmax.ts";
import { LAYER } from "../cases/compile-case.ts";
import type { FfnCase } from "../cases/ffn-case.ts";
import { FFN_CASES } from "../cases/ffn-cases.ts";
import { ffnOracle, judgeFfn } from "../cases/ffn-oracle.ts";
import { judgeClaim } from "../cases/judge-certified.ts";
import { oracle } from "../cases/oracle.ts";
import { resultOf, rowOf } from "../cases/selected.ts";
import type { SoftmaxCase } from "../cases/softmax-case.ts";
import { SOFTMAX_CASES } from "../cases/softmax-cases.ts";
import {
  CUDA,
  type CudaCase,
  type CudaLayer,
  compileFfnForCuda,
  compileForCuda,
  SMALL_CUDA,
} from "../cuda-host/run.ts";

export interface DeviceCase {
  readonly name: string;
  readonly compiled: CudaLayer;
  /** Runs the case twice, and says what is wrong with the result, in words. */
  problems(device: CudaDevice): Promise<string[]>;
}

/** One case for each kind of kernel, and for each thing that a layer may take or give. */
const SECTION: readonly (readonly [name: string, profile?: CudaProfile])[] = [
  ["int4 codes, group 32, int8 activations: random"],
  ["dense f16, 100 inputs, batch 8: random"],
  ["f32 activations: NaN in some weight rows"],
  ["certified: tokens quantized by a kernel of their own", SMALL_CUDA],
  ["certified int4 row, exact selection, fallback, and options: random"],
  ["int8: everything"],
  ["int8 low rank: everything"],
  ["statistical, int4 codes: random"],
  ["ffn: common groups"],
  ["ffn: dense"],
  ["ffn: silu, int8 activations, two stages"],
  ["ffn: bias: low rank, sum, common"],
];

export function sectionOfCases(): DeviceCase[] {
  return SECTION.map(([name, profile]) => {
    const softmaxCase = SOFTMAX_CASES.find((each) => each.name === name);
    const ffnCase = FFN_CASES.find((each) => each.name === name);
    if (!softmaxCase && !ffnCase) throw new Error(`there is no case "${name}"`);
    return softmaxCase ? softmaxOnDevice(softmaxCase, profile) : ffnOnDevice(ffnCase!);
  });
}

/** Every case of the tables; heads also with the kernels of large layers, where those differ. */
export function allCases(): DeviceCase[] {
  const heads = SOFTMAX_CASES.flatMap((each) => {
    const onDevice = softmaxOnDevice(each);
    const onSmall = softmaxOnDevice(each, SMALL_CUDA);
    const sources = ({ compiled }: DeviceCase) => compiled.kernels.map(({ source }) => source).join();
    const small = { ...onSmall, name: `${each.name}, little shared memory` };
    return sources(onDevice) === sources(onSmall) ? [onDevice] : [onDevice, small];
  });
  return [...heads, ...FFN_CASES.map(ffnOnDevice)];
}

function softmaxOnDevice(softmaxCase: SoftmaxCase, profile = CUDA): DeviceCase {
  const compiled = compileForCuda(softmaxCase, profile);
  return {
    name: softmaxCase.name,
    compiled,
    problems: (device) =>
      runTwice(device, compiled, (result) => judgeSoftmax(softmaxCase, compiled, result as SoftmaxResult)),
  };
}

function ffnOnDevice(ffnCase: FfnCase): DeviceCase {
  const compiled = compileFfnForCuda(ffnCase, CUDA);
  const { layer, data } = compiled;
  return {
    name: ffnCase.name,
    compiled,
    problems: (device) =>
      runTwice(device, compiled, async (result) => {
        const { output, groups } = result as { readonly output: Float32Array; readonly groups: Uint32Array };
        const expectedOf = ffnOracle(ffnCase, layer, data);
        return Array.from({ length: ffnCase.tokens }).flatMap((_, token) =>
          judgeFfn(ffnCase.comparison, layer, expectedOf(rowOf(data.x, layer.inputs, token)), {
            output: rowOf(output, layer.outputs, token),
            groups: rowOf(groups, layer.k, token),
          }),
        );
      }),
  };
}

async function runTwice(
  device: CudaDevice,
  { plan, sources, weights, data }: CudaLayer,
  judge: (result: unknown) => Promise<string[]>,
): Promise<string[]> {
  const model = await loadCudaModel(device, { plan, sources }, weights);
  try {
    const layer = model.layers[LAYER]!;
    const result = await layer.run(data.x, data.taken);
    const again = await layer.run(data.x, data.taken);
    const isSame = Object.entries(result).every(([name, values]) => isEqual(values, again[name as keyof typeof again]));
    return [...(await judge(result)), ...(isSame ? [] : ["the second run gives other bits"])];
  } finally {
    model.destroy();
  }
}

type Bits = { readonly buffer: ArrayBufferLike; readonly byteOffset: number; readonly byteLength: number };

export function isEqual(one: Bits, other: Bits): boolean {
  const bytes = ({ buffer, byteOffset, byteLength }: Bits) => new Uint8Array(buffer, byteOffset, byteLength);
  return Buffer.compare(bytes(one), bytes(other)) === 0;
}

async function judgeSoftmax(
  { comparison, tokens }: SoftmaxCase,
  { layer, data, weights }: CudaCase,
  result: SoftmaxResult,
): Promise<string[]> {
  const reference = await createReferenceSoftmax(LAYER, layer, weights);
  const wanted = await reference.run(data.x, data.taken);
  const expectedOf = oracle(layer, data);
  return Array.from({ length: tokens }).flatMap((_, token) => {
    const expected = expectedOf(rowOf(data.x, layer.inputs, token), token);
    const best = Array.from(rowOf(wanted.indices, layer.k, token));
    return judgeClaim(comparison, layer, { ...expected, best }, resultOf(result, layer.k, token));
  });
}
