// Layers over shards through their emitted packages: a process per rank, with real kernels on the CPU, and the exchange through
// torch.distributed. The results are those of shards that meet in memory.

import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { torchPackage } from "../../compiler/torch.ts";
import type { ShardOptions } from "../../dsl/index.ts";
import type { ShardedResult } from "../../runtime/collective/sharded-softmax.ts";
import type { SoftmaxInputs } from "../../runtime/inputs.ts";
import type { FfnPlan, SoftmaxPlan } from "../../runtime/plan.ts";
import { referenceLoader } from "../../runtime/reference/shards.ts";
import { shardPlan } from "../../runtime/shard-plan.ts";
import { LAYER } from "../cases/compile-case.ts";
import {
  type CompiledShards,
  compileSharded,
  compileShardedFfn,
  fewRows,
  ffnProblems,
  headCase,
  headProblems,
  runShards,
  shardSection,
  TIES,
} from "../cases/sharded.ts";
import type { CaseData, SoftmaxCase } from "../cases/softmax-case.ts";
import { CUDA } from "../cuda-host/run.ts";
import { buildLibraries, packBytes, whyNoPackages, writeFiles } from "./build.ts";
import { runPython, type Torch } from "./python.ts";
import { floats, rows } from "./results.ts";

const missing = await whyNoPackages();

const { layer: optionsAndSum, ...report } = headCase("certified int4 group 32, report, and options: random");
const { logSumExp: _, ...options } = optionsAndSum;

const isLong = process.env.HIREC_LONG === "1";
const section = shardSection();
const heads: readonly (readonly [string, ShardOptions, SoftmaxCase])[] = [
  ...section.heads.filter(([name]) => isLong || /: NaN in|fallback: random$|two rows are allowed$/.test(name)),
  ["report, options", { count: 2 }, { ...report, layer: options }],
  ["shards with two rows, one and none", { count: 4, layout: "contiguous" }, fewRows(5)],
  TIES,
  ["fallback, options", { count: 2 }, { ...report, layer: { ...options, certify: "fallback" } }],
];
const ffns = section.ffns.filter(([name]) => isLong || /common groups$|dense$|one neuron$/.test(name));

interface Ranks {
  readonly outputs: readonly Readonly<Record<string, Uint8Array<ArrayBuffer>>>[];
  readonly dtypes: Readonly<Record<string, string>>;
  /** The collective calls of each rank. */
  readonly exchanges: readonly (readonly string[])[];
}

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "hirec-torch-shards-"));
});
afterAll(() => rm(folder, { recursive: true }));

let cases = 0;

async function runRanks(
  { plan, sources, packs }: CompiledShards<SoftmaxPlan | FfnPlan, unknown>,
  x: Float32Array,
  taken: SoftmaxInputs,
  torch: Torch,
): Promise<Ranks> {
  const own = join(folder, String(cases++));
  const files = new Map(Object.entries(sources));
  await writeFiles(own, new Map([...files, ...torchPackage(plan, files)]));
  const path = (name: string) => join(own, name);
  const shards = packs.length;
  for (const [shard, weights] of packs.entries()) {
    await writeFile(path(`pack.${shard}-of-${shards}`), await packBytes(shardPlan(plan, shard), weights));
  }
  await writeFile(path("x"), x);
  await mkdir(path("out"));
  for (const [name, values] of Object.entries(taken)) await writeFile(path(name), values);
  const { parts, shards: each } = plan.shards!;
  const job = {
    folder: own,
    shards,
    layer: LAYER,
    tokens: x.length / plan.layers[LAYER]!.inputs,
    ...Object.fromEntries(["pack", "x", "out", "store", ...Object.keys(taken)].map((name) => [name, path(name)])),
    programs: each.map(({ part }) => parts[part]!.programs[CUDA.name]![LAYER]),
    merge: plan.programs[0]!.layers[LAYER],
  };
  await writeFile(path("job.json"), JSON.stringify(job));
  const libraries = await buildLibraries(plan, files);
  const env = { XDG_CACHE_HOME: path("cache") };
  const said = await Promise.all(
    packs.map((_, rank) => runPython("run_shard.py", [path("job.json"), String(rank)], { libraries, torch, env })),
  );
  const ranks = said.map((text) => JSON.parse(text) as { fields: string[]; dtypes: string[]; exchanges: string[] });
  const outputs = await Promise.all(
    ranks.map(async ({ fields }, rank) => {
      const read = async (field: string) =>
        [field, Uint8Array.from(await readFile(join(path("out"), `${field}.${rank}`)))] as const;
      return Object.fromEntries(await Promise.all(fields.map(read)));
    }),
  );
  const { fields, dtypes } = ranks[0]!;
  return {
    outputs,
    dtypes: Object.fromEntries(fields.map((field, i) => [field, dtypes[i]!])),
    exchanges: ranks.map(({ exchanges }) => exchanges),
  };
}

/** The same layer, whose shards send all that they have to offer at once, as those of torch do. */
function sendingAll(compiled: CompiledShards<SoftmaxPlan, CaseData>): CompiledShards<SoftmaxPlan, CaseData> {
  const sharding = { ...compiled.layer.sharding!, sent: compiled.layer.sharding!.offered };
  const layer = { ...compiled.layer, sharding };
  return { ...compiled, layer, plan: { ...compiled.plan, layers: { [LAYER]: layer } } };
}

// A real torch takes seconds to load in each process; one case for each way to exchange.
const REAL = /^ties$|report, options$|common groups$/;

describe.each(["fake", "real"] as const)("with a %s torch", (torch) => {
  const why = missing[torch];
  const isRun = ([name]: readonly [string, ...unknown[]]) => torch === "fake" || REAL.test(name);
  describe.skipIf(why)(`layers over shards of an emitted package${why ? `, skipped: ${why}` : ""}`, () => {
    test.each(heads.filter(isRun))("%s, over %o", async (_name, shards, softmaxCase) => {
      const compiled = compileSharded(softmaxCase, shards, [CUDA]);
      const { x, taken } = compiled.data;
      const { outputs, dtypes, exchanges } = await runRanks(compiled, x, taken, torch);
      expect(dtypes).toMatchObject({ indices: "torch.int64", values: "torch.float32" });
      const results = outputs.map(
        (each): ShardedResult => ({
          indices: rows(each.indices!),
          values: floats(each.values!),
          ...(each.certified && { certified: each.certified }),
          ...(each.sampled && { sampled: rows(each.sampled) }),
          resent: 0,
        }),
      );
      expect(headProblems(softmaxCase, compiled, results)).toEqual([]);
      const reference = sendingAll(compiled);
      const loader = referenceLoader.bind(undefined, reference.plan);
      const [wanted] = await runShards(reference, loader, (each) => each.run(x, taken));
      expect(results[0]!.indices).toEqual(wanted!.indices);
      expect(results[0]!.certified).toEqual(wanted!.certified);
      expect(results[0]!.sampled).toEqual(wanted!.sampled);
      const isUnsure = compiled.layer.certificate?.kind === "fallback" && wanted!.certified!.includes(0);
      const gather = "all_gather";
      expect(new Set(exchanges.map(String))).toEqual(new Set([String(isUnsure ? [gather, gather] : [gather])]));
    });

    test.each(ffns.filter(isRun))("%s, over %o", async (_name, shards, ffnCase) => {
      const compiled = compileShardedFfn(ffnCase, shards, [CUDA]);
      const { x } = compiled.data;
      const { outputs, dtypes, exchanges } = await runRanks(compiled, x, {}, torch);
      expect(dtypes).toEqual({ output: "torch.float32", groups: "torch.int64" });
      const results = outputs.map(({ output, groups }) => ({ output: floats(output!), groups: rows(groups!) }));
      expect(ffnProblems(ffnCase, compiled, results)).toEqual([]);
      const loader = referenceLoader.bind(undefined, compiled.plan);
      const wanted = await runShards(compiled, loader, (each) => each.run(x));
      expect(results.map(({ groups }) => groups)).toEqual(wanted.map(({ groups }) => groups));
      expect(new Set(exchanges.map(String))).toEqual(new Set(["all_reduce"]));
    });
  });
});
