// What is wrong with what a case on the CPU wrote, against float64 and the reference, in words.

import type { ReferenceSoftmax } from "../../runtime/reference/softmax.ts";
import type { FfnCase } from "../cases/ffn-case.ts";
import { ffnOracle, judgeFfn } from "../cases/ffn-oracle.ts";
import { judgeClaim } from "../cases/judge-certified.ts";
import { oracle } from "../cases/oracle.ts";
import { resultOf, rowOf } from "../cases/selected.ts";
import type { SoftmaxCase } from "../cases/softmax-case.ts";
import type { CudaCase, CudaFfn, CudaLayer, Written } from "./run.ts";

/** Whether a head's rows, or the rows of neurons, are chosen by the same bits everywhere; elsewhere rounding decides between those that nearly tie. */
export function isSameEverywhere({ layer: { estimator }, comparison }: SoftmaxCase | FfnCase): boolean {
  return estimator.kind === "dense" ? comparison === "exact" : estimator.options.activations !== "f32";
}

export async function softmaxProblems(
  softmaxCase: SoftmaxCase,
  compiled: CudaCase,
  reference: ReferenceSoftmax,
  written: readonly Written[],
): Promise<string[]> {
  const { layer, data } = compiled;
  const { comparison } = softmaxCase;
  const wanted = await reference.run(data.x, data.taken);
  const expectedOf = oracle(layer, data);
  return Array.from({ length: softmaxCase.tokens }).flatMap((_, token) => {
    const expected = expectedOf(rowOf(data.x, layer.inputs, token), token);
    const best = Array.from(rowOf(wanted.indices, layer.k, token));
    const { launch, place } = locate(compiled, written, token);
    const floats = (name: string) => new Float32Array(launch.get(name)!.buffer);
    const result = resultOf(
      {
        indices: launch.get("indices")!,
        values: floats("values"),
        ...(layer.certificate && { certified: Uint8Array.from(launch.get("certified")!) }),
        ...(layer.logSumExp && { lse: floats("lse") }),
        ...(layer.sampler && { sampled: launch.get("sampled")! }),
      },
      layer.k,
      place,
    );
    // Where nothing is rounded, the flags are no matter of backends either.
    const isFlag = isSameEverywhere(softmaxCase) && comparison === "exact";
    const flag = isFlag && result.certified !== wanted.certified?.[token] ? ["another flag than the reference's"] : [];
    return [...judgeClaim(comparison, layer, { ...expected, best }, result), ...flag];
  });
}

export function ffnProblems(ffnCase: FfnCase, compiled: CudaFfn, written: readonly Written[]): string[] {
  const { layer, data } = compiled;
  const expectedOf = ffnOracle(ffnCase, layer, data);
  return Array.from({ length: ffnCase.tokens }).flatMap((_, token) => {
    const { launch, place } = locate(compiled, written, token);
    return judgeFfn(ffnCase.comparison, layer, expectedOf(rowOf(data.x, layer.inputs, token)), {
      output: rowOf(new Float32Array(launch.get("output")!.buffer), layer.outputs, place),
      groups: rowOf(launch.get("groups")!, layer.k, place),
    });
  });
}

/** The launch that a token was in, and its place there. */
export function locate({ layer }: CudaLayer, launches: readonly Written[], token: number) {
  return { launch: launches[Math.floor(token / layer.batch)]!, place: token % layer.batch };
}
