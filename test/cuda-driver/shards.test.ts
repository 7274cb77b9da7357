// Layers over several shards, all on one CUDA card: every kernel of a shard, and the merge.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { cudaLoader } from "../../runtime/cuda/model.ts";
import {
  compileSharded,
  compileShardedFfn,
  ffnProblems,
  headProblems,
  runMonitored,
  runShards,
  shardSection,
} from "../cases/sharded.ts";
import { CUDA } from "../cuda-host/run.ts";
import { type Card, missing, openCard } from "./card.ts";

const { heads, ffns } = shardSection();

describe.skipIf(missing)(`shards on CUDA${missing ? `, skipped: ${missing}` : ""}`, () => {
  let card: Card;
  beforeAll(async () => {
    card = await openCard();
  });
  afterAll(() => {
    card.device.close();
    expect(card.live(), "what nobody has freed").toBe(0);
  });

  test.each(heads)("%s, over %o", async (_name, shards, softmaxCase) => {
    const before = card.live();
    const compiled = compileSharded(softmaxCase, shards, [CUDA]);
    const { x, taken } = compiled.data;
    const loader = cudaLoader.bind(undefined, card.device, compiled);
    const results = await runShards(compiled, loader, (each) => each.run(x, taken));
    expect(headProblems(softmaxCase, compiled, results)).toEqual([]);
    expect(card.live(), "what the shards have not freed").toBe(before);
  });

  test.each(ffns)("%s, over %o", async (_name, shards, ffnCase) => {
    const compiled = compileShardedFfn(ffnCase, shards, [CUDA]);
    const loader = cudaLoader.bind(undefined, card.device, compiled);
    const { results, recalls, expected } = await runMonitored(compiled, loader);
    expect(ffnProblems(ffnCase, compiled, results)).toEqual([]);
    for (const recall of recalls) expect(recall).toEqual(expected);
  });
});
