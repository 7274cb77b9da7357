// A case over several shards, all of them in this process.

import { check } from "../../compiler/check.ts";
import { emit } from "../../compiler/emit.ts";
import type { Profile } from "../../compiler/profiles.ts";
import { defineModel, type ShardOptions, softmax } from "../../dsl/index.ts";
import { loadShard, type ShardLoadOptions } from "../../runtime/collective/load-shard.ts";
import { localCollectives } from "../../runtime/collective/local.ts";
import type { RawLoader } from "../../runtime/collective/raw-layer.ts";
import type { MeasuredRecall } from "../../runtime/collective/recall-monitor.ts";
import type { ShardedFfn } from "../../runtime/collective/sharded-ffn.ts";
import type { ShardedResult, ShardedSoftmax } from "../../runtime/collective/sharded-softmax.ts";
import { NO_ROW, type WeightSource } from "../../runtime/layer.ts";
import type { FloatFfnResult } from "../../runtime/layer-data.ts";
import { packWeights } from "../../runtime/pack/weight-tensors.ts";
import type { FfnPlan, Plan, SoftmaxPlan } from "../../runtime/plan.ts";
import { referenceLoader } from "../../runtime/reference/shards.ts";
import { shardPlan } from "../../runtime/shard-plan.ts";
import { compileCase, LAYER } from "./compile-case.ts";
import { ffnModel } from "./compile-ffn.ts";
import { type FfnCase, type FfnData, ffnData } from "./ffn-case.ts";
import { FFN_CASES } from "./ffn-cases.ts";
import { ffnOracle } from "./ffn-oracle.ts";
import { judgeWhole } from "./judge-certified.ts";
import { oracle } from "./oracle.ts";
import { resultOf, rowOf } from "./selected.ts";
import { type CaseData, caseData, type SoftmaxCase } from "./softmax-case.ts";
import { SOFTMAX_CASES } from "./softmax-cases.ts";

export interface CompiledShards<Layer, Data> {
  readonly plan: Plan;
  readonly sources: Readonly<Record<string, string>>;
  readonly layer: Layer;
  readonly data: Data;
  /** The pack of each shard. */
  readonly packs: readonly WeightSource[];
}

/** Log-sum-exps are not over shards. */
export function canBeSharded({ layer }: SoftmaxCase): boolean {
  return layer.logSumExp !== true;
}

export function compileSharded(
  { layer: options, ...softmaxCase }: SoftmaxCase,
  shards: ShardOptions,
  profiles: readonly Profile[],
): CompiledShards<SoftmaxPlan, CaseData> {
  const layer = softmax({ crossover: "ignore", ...options, weight: LAYER, shards });
  const compiled = compileModel(defineModel("case", { [LAYER]: layer }), profiles);
  const data = caseData({ ...softmaxCase, layer: options });
  const bytes = { weight: data.weightBytes, ...(data.biasBytes && { bias: data.biasBytes }) };
  return { ...compiled, layer: compiled.plan.layers[LAYER] as SoftmaxPlan, data, packs: packsOf(compiled.plan, bytes) };
}

export function compileShardedFfn(
  ffnCase: FfnCase,
  shards: ShardOptions,
  profiles: readonly Profile[],
): CompiledShards<FfnPlan, FfnData> {
  const model = ffnModel({ ...ffnCase, layer: { ...ffnCase.layer, shards } });
  const compiled = compileModel(model, profiles);
  const data = ffnData(ffnCase);
  const { gate, up, down, biases } = data;
  const ofBiases = Object.entries(biases).map(([role, matrix]) => [role, matrix.bytes]);
  const bytes = { ...(gate && { gate: gate.bytes }), up: up.bytes, down: down.bytes, ...Object.fromEntries(ofBiases) };
  return { ...compiled, layer: compiled.plan.layers[LAYER] as FfnPlan, data, packs: packsOf(compiled.plan, bytes) };
}

function compileModel(model: ReturnType<typeof defineModel>, profiles: readonly Profile[]) {
  const { plan, files } = emit(check({ model, sites: [] }), profiles);
  const sources = [...files].map(([path, text]) => [path, text.replace(/^\/\/.*\n/gm, "")]);
  return { plan, sources: Object.fromEntries(sources) as Record<string, string> };
}

function packsOf(plan: Plan, bytes: Parameters<typeof packWeights>[1]): WeightSource[] {
  return plan.shards!.shards.map((_, index): WeightSource => {
    const layer = shardPlan(plan, index).layers[LAYER];
    const tensors = layer ? packWeights(layer, bytes) : [];
    return ({ name }) => tensors.find((tensor) => tensor.name === name)!.data;
  });
}

type OfKind<Layer> = Layer extends SoftmaxPlan ? ShardedSoftmax : ShardedFfn;

/** Loads all shards, runs them side by side, and frees them. */
export async function runShards<Layer extends SoftmaxPlan | FfnPlan, Result>(
  { plan, packs }: CompiledShards<Layer, unknown>,
  loader: (weights: WeightSource) => RawLoader,
  run: (layer: OfKind<Layer>) => Promise<Result>,
  options: ShardLoadOptions = {},
): Promise<Result[]> {
  const shards = await Promise.all(
    localCollectives(packs.length).map(async (collective) => {
      const layers = await loadShard(plan, [LAYER], loader(packs[collective.rank]!), collective, options);
      return layers[LAYER]! as OfKind<Layer>;
    }),
  );
  try {
    return await Promise.all(shards.map(run));
  } finally {
    for (const shard of shards) shard.destroy();
  }
}

/** The same of a feed-forward, with what its shards measure on every second token, and what they are to, by float64. */
export async function runMonitored(
  compiled: CompiledShards<FfnPlan, FfnData>,
  loader: (weights: WeightSource) => RawLoader,
): Promise<{ results: FloatFfnResult[]; recalls: MeasuredRecall[]; expected: MeasuredRecall }> {
  const run = async (layer: ShardedFfn) => ({ result: await layer.run(compiled.data.x), recall: layer.recall!() });
  const options = { monitor: { every: 2 } };
  const found = await runShards(compiled, loader, run, options);
  const [reference] = await runShards(compiled, referenceLoader.bind(undefined, compiled.plan), run, options);
  const [results, recalls] = [found.map(({ result }) => result), found.map(({ recall }) => recall)];
  return { results, recalls, expected: reference!.recall };
}

/** How the cases of the tables are spread: counts that divide nothing, both layouts, exchanges that are sure to be too small. */
export const SHARDS: readonly ShardOptions[] = [
  { count: 2, exchange: 1 },
  { count: 3, layout: "contiguous" },
  { count: 4, slack: 1 },
  { count: 8, exchange: 2 },
];

/** What is wrong with what the shards of a head returned, in words: all alike, and where it is exact, the best of all rows. */
export function headProblems(
  softmaxCase: SoftmaxCase,
  { layer, data }: CompiledShards<SoftmaxPlan, CaseData>,
  results: readonly ShardedResult[],
): string[] {
  const [first] = results;
  const problems = results.flatMap((result, shard) =>
    JSON.stringify(result, bitsOf) === JSON.stringify(first, bitsOf) ? [] : [`shard ${shard} has another result`],
  );
  const expectedOf = oracle(compileCase(softmaxCase).layer, data);
  for (let token = 0; token < softmaxCase.tokens; token++) {
    const result = resultOf(first!, layer.k, token);
    const isExact =
      layer.certificate?.kind === "fallback" ||
      result.certified === 1 ||
      (layer.estimator.kind === "dense" && layer.selection.kind === "exact");
    if (!isExact) continue;
    const expected = { ...expectedOf(rowOf(data.x, layer.inputs, token), token), best: [] };
    problems.push(...judgeWhole(softmaxCase.comparison, layer, expected, result));
  }
  return problems;
}

/** The same of a feed-forward: all outputs alike, and that of the groups which all selected together. */
export function ffnProblems(
  ffnCase: FfnCase,
  { layer, data }: CompiledShards<FfnPlan, FfnData>,
  results: readonly FloatFfnResult[],
): string[] {
  const problems: string[] = [];
  const expectedOf = ffnOracle(ffnCase, layer, data);
  for (let token = 0; token < ffnCase.tokens; token++) {
    const [output] = results.map((result) => rowOf(result.output, layer.outputs, token));
    if (results.some((result) => String(rowOf(result.output, layer.outputs, token)) !== String(output))) {
      problems.push(`token ${token} has several outputs`);
    }
    const groups = results.flatMap((result) => {
      return Array.from(rowOf(result.groups, result.groups.length / ffnCase.tokens, token));
    });
    // Of shards with common groups alone, one of those is selected.
    const selected = groups.filter((group) => group !== NO_ROW && group >= layer.group.common);
    if (new Set(selected).size !== selected.length) problems.push(`token ${token} has a group twice`);
    const wanted =
      layer.selection.kind === "statistical" ? 0 : Math.min(layer.k, layer.group.count - layer.group.common);
    if (selected.length < wanted) {
      problems.push(`token ${token} has ${selected.length} groups`);
    }
    const { outputOf } = expectedOf(rowOf(data.x, layer.inputs, token));
    outputOf(selected).forEach(({ value, slack }, i) => {
      const near = Object.is(output![i], value) || output![i] === value || Math.abs(output![i]! - value) <= slack;
      if (!near) problems.push(`output ${i} of token ${token} is ${output![i]} instead of ${value}`);
    });
  }
  return problems;
}

/** One case for each thing that shards and their merge may do, with the way it is spread. */
export function shardSection() {
  const heads: readonly (readonly [name: string, shards: ShardOptions])[] = [
    ["int4 codes, group 32, int8 activations: random", SHARDS[1]!],
    ["dense f16, 100 inputs, batch 8: random", SHARDS[0]!],
    ["dense f16, 100 inputs, batch 8: random", SHARDS[3]!],
    ["f32 activations: NaN in some weight rows", SHARDS[2]!],
    ["certified int8 group 128, fallback: random", SHARDS[0]!],
    ["certified int4 row, exact selection, fallback, and options: random", SHARDS[3]!],
    ["certified int8 group 128, fallback, and options: two rows are allowed", SHARDS[1]!],
    ["statistical, int4 codes: random", SHARDS[0]!],
    ["f32: rows drawn at random", SHARDS[2]!],
  ];
  const ffns: readonly (readonly [name: string, shards: ShardOptions])[] = [
    ["ffn: common groups", { count: 4 }],
    ["ffn: dense", { count: 3, layout: "contiguous" }],
    ["ffn: silu, int8 activations, two stages", { count: 2, slack: { recall: 0.9 } }],
    ["ffn: bias: low rank, sum, common", { count: 8 }],
    ["ffn: one neuron", { count: 2 }],
  ];
  return {
    heads: heads.map(([name, shards]) => [name, shards, headCase(name)] as const),
    ffns: ffns.map(([name, shards]) => [name, shards, caseOf(FFN_CASES, name)] as const),
  };
}

export function headCase(name: string): SoftmaxCase {
  return caseOf(SOFTMAX_CASES, name);
}

/** A head whose scores are all exact. */
export const DENSE_HEAD = headCase("dense f16, 100 inputs, batch 8: random");

/** The same with so few rows that shards have hardly any, or none. */
export function fewRows(rows: number): SoftmaxCase {
  return { ...DENSE_HEAD, layer: { ...DENSE_HEAD.layer, rows, k: Math.min(rows, 4) } };
}

/** Rows that only the second exchange, and the order of equal scores, get right. */
export const TIES: readonly [name: string, shards: ShardOptions, softmaxCase: SoftmaxCase] = [
  "ties",
  { count: 2, exchange: 1 },
  headCase("certified f32 tokens, fallback: few distinct scores, so most tie"),
];

function caseOf<Case extends { readonly name: string }>(cases: readonly Case[], name: string): Case {
  const found = cases.find((each) => each.name === name);
  if (!found) throw new Error(`there is no case "${name}"`);
  return found;
}

/** Every bit of an array of numbers. */
function bitsOf(_: string, value: unknown): unknown {
  if (!ArrayBuffer.isView(value)) return value;
  return Array.from(new Uint8Array(value.buffer, value.byteOffset, value.byteLength));
}
