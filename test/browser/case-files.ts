// Cases of the shared table as files of a site: the compiled folder and a pack as `hirec pack` writes it.

import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PROFILES } from "../../compiler/profiles.ts";
import { readWeights, type WeightSource } from "../../runtime/layer.ts";
import { writePack } from "../../runtime/node/write-pack.ts";
import { packMetadata } from "../../runtime/pack/read-pack.ts";
import type { Plan } from "../../runtime/plan.ts";
import { compileCase } from "../cases/compile-case.ts";
import { compileFfn } from "../cases/compile-ffn.ts";
import { FFN_CASES } from "../cases/ffn-cases.ts";
import { ffnOracle, judgeFfn } from "../cases/ffn-oracle.ts";
import { judgeClaim } from "../cases/judge-certified.ts";
import { oracle } from "../cases/oracle.ts";
import { resultOf, rowOf } from "../cases/selected.ts";
import { SOFTMAX_CASES } from "../cases/softmax-cases.ts";
import type { CaseFiles } from "./page.ts";
import type { Site } from "./site.ts";

/** What a layer returned, by the names of its results. */
type Returned = Readonly<Record<string, readonly number[]>>;

export interface ServedCase {
  readonly files: CaseFiles & { readonly digest: string };
  /** What is wrong with a result, in words. */
  judge(result: Returned): string[];
}

export async function serveSoftmax(site: Site, name: string): Promise<ServedCase> {
  const softmaxCase = SOFTMAX_CASES.find((each) => each.name === name)!;
  const { plan, sources, layer, data, weights } = compileCase(softmaxCase);
  const { folder, digest } = await serve(site, plan, sources, weights);
  const { mask, uniforms } = data.taken;
  const judge = (result: Returned) => {
    const expectedOf = oracle(layer, data);
    const found = {
      indices: Uint32Array.from(result.indices!),
      values: Float32Array.from(result.values!),
      ...(result.certified && { certified: Uint8Array.from(result.certified) }),
      ...(result.lse && { lse: Float32Array.from(result.lse) }),
      ...(result.sampled && { sampled: Uint32Array.from(result.sampled) }),
    };
    return Array.from({ length: softmaxCase.tokens }, (_, token) => {
      const expected = expectedOf(rowOf(data.x, layer.inputs, token), token);
      return judgeClaim(softmaxCase.comparison, layer, expected, resultOf(found, layer.k, token));
    }).flat();
  };
  const taken = { ...(mask && { mask: [...mask] }), ...(uniforms && { uniforms: [...uniforms] }) };
  return { files: { folder, digest, x: [...data.x], ...taken }, judge };
}

export async function serveFfn(site: Site, name: string): Promise<ServedCase> {
  const ffnCase = FFN_CASES.find((each) => each.name === name)!;
  const { plan, sources, layer, data, weights } = compileFfn(ffnCase, PROFILES.wgsl);
  const { folder, digest } = await serve(site, plan, sources, weights);
  const judge = (result: Returned) => {
    const expectedOf = ffnOracle(ffnCase, layer, data);
    const [output, groups] = [Float32Array.from(result.output!), Uint32Array.from(result.groups!)];
    return Array.from({ length: ffnCase.tokens }, (_, token) =>
      judgeFfn(ffnCase.comparison, layer, expectedOf(rowOf(data.x, layer.inputs, token)), {
        output: rowOf(output, layer.outputs, token),
        groups: rowOf(groups, layer.k, token),
      }),
    ).flat();
  };
  return { files: { folder, digest, x: [...data.x] }, judge };
}

let served = 0;

/** @returns where the model lies on the site, and its pack's digest. */
export async function serve(
  site: Site,
  plan: Plan,
  sources: Readonly<Record<string, string>>,
  weights: WeightSource,
): Promise<{ folder: string; digest: string }> {
  const folder = `/models/${served++}`;
  for (const [file, text] of Object.entries(sources)) site.files.set(`${folder}/${file}`, text);
  site.files.set(`${folder}/plan.json`, JSON.stringify(plan));
  const { bytes, digest } = await packOf(plan, weights);
  site.files.set(`${folder}/case.pack`, bytes);
  return { folder, digest };
}

async function packOf(plan: Plan, weights: WeightSource): Promise<{ bytes: Uint8Array; digest: string }> {
  const directory = await mkdtemp(join(tmpdir(), "hirec-browser-"));
  const tensors = Object.values(plan.layers).flatMap((layer) =>
    layer.tensors.map((tensor) => ({ ...tensor, bytes: () => readWeights(weights, tensor) })),
  );
  try {
    const digest = await writePack(join(directory, "pack"), tensors, packMetadata(plan));
    return { bytes: await readFile(join(directory, "pack")), digest };
  } finally {
    await rm(directory, { recursive: true });
  }
}
