// Layers over several shards, in float64: where the result is promised to be exact, it is the best of all rows.

import { describe, expect, test } from "vitest";
import { compileModel } from "../../compiler/index.ts";
import { PROFILES } from "../../compiler/profiles.ts";
import { defineModel, dense, ffn } from "../../dsl/index.ts";
import { referenceLoader } from "../../runtime/reference/shards.ts";
import { FFN_CASES } from "../cases/ffn-cases.ts";
import {
  canBeSharded,
  compileSharded,
  compileShardedFfn,
  DENSE_HEAD,
  ffnProblems,
  headProblems,
  runShards,
  SHARDS,
} from "../cases/sharded.ts";
import { SOFTMAX_CASES } from "../cases/softmax-cases.ts";

const PROFILE = [PROFILES.wgsl.at(-1)!];

/** Each with one of the ways to be spread; every third unless all are asked for. */
function spread<Case extends { readonly name: string }>(cases: readonly Case[]) {
  const step = process.env.HIREC_LONG === "1" ? 1 : 3;
  return cases
    .filter((_, i) => i % step === 0)
    .map((each, i) => [each.name, SHARDS[i % SHARDS.length]!, each] as const);
}

test.each(spread(SOFTMAX_CASES.filter(canBeSharded)))("%s, over %o", async (_name, shards, softmaxCase) => {
  const compiled = compileSharded(softmaxCase, shards, PROFILE);
  const { x, taken } = compiled.data;
  const loader = referenceLoader.bind(undefined, compiled.plan);
  const results = await runShards(compiled, loader, (each) => each.run(x, taken));
  expect(headProblems(softmaxCase, compiled, results)).toEqual([]);
});

test.each(spread(FFN_CASES))("%s, over %o", async (_name, shards, ffnCase) => {
  const { exchange: _, ...ofFfn } = shards;
  const compiled = compileShardedFfn(ffnCase, ofFfn, PROFILE);
  const loader = referenceLoader.bind(undefined, compiled.plan);
  const results = await runShards(compiled, loader, (each) => each.run(compiled.data.x));
  expect(ffnProblems(ffnCase, compiled, results)).toEqual([]);
});

describe("the second exchange", () => {
  const resent = async (exchange: number) => {
    const compiled = compileSharded(DENSE_HEAD, { count: 4, exchange }, PROFILE);
    const loader = referenceLoader.bind(undefined, compiled.plan);
    const [result] = await runShards(compiled, loader, (each) => each.run(compiled.data.x));
    return result!.resent;
  };

  test("is needed when too little is sent, and not when everything is", async () => {
    expect(await resent(1)).toBe(DENSE_HEAD.tokens);
    expect(await resent(DENSE_HEAD.layer.k)).toBe(0);
  });
});

describe("shards in ranges, the first of them with the common groups", () => {
  // 64 groups each: the second shard has all that is selected from.
  const planOf = (slack: number | { recall: number }) =>
    compileModel(
      defineModel("ranges", {
        mlp: ffn({
          ...{ inputs: 32, hidden: 1024, weights: { gate: "g", up: "u", down: "d" }, k: 40, crossover: "ignore" },
          ...{ activation: (z: number) => Math.max(z, 0), estimator: dense(), group: { size: 8 }, common: 64 },
          shards: { count: 2, layout: "contiguous", slack },
        }),
      }),
    ).plan.layers.mlp!.sharding!;

  test("select all k on one shard where slack allows it, and only then are said to lose none", () => {
    expect(planOf(2)).toMatchObject({ keep: 40, recall: 1 });
    expect(planOf({ recall: 1 })).toMatchObject({ keep: 40, recall: 1 });
    expect(planOf(1.2)).toMatchObject({ keep: 24 });
    expect(planOf(1.2).recall).toBeLessThan(1);
  });
});
