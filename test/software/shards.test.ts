// Layers over several shards, all on one WebGPU device: every kernel of a shard, and the merge.

import { afterAll, beforeAll, expect, test } from "vitest";
import { PROFILES } from "../../compiler/profiles.ts";
import type { NodeDevice } from "../../runtime/node/device.ts";
import { gpuLoader } from "../../runtime/webgpu/model.ts";
import {
  compileSharded,
  compileShardedFfn,
  ffnProblems,
  headProblems,
  runMonitored,
  runShards,
  shardSection,
} from "../cases/sharded.ts";
import { requestTestDevice } from "./device.ts";

const { heads, ffns } = shardSection();
const DEFAULT = [PROFILES.wgsl.at(-1)!];

let device: NodeDevice;
beforeAll(async () => {
  device = await requestTestDevice();
});
afterAll(() => device.close());

test.each(heads)("%s, over %o", async (_name, shards, softmaxCase) => {
  const compiled = compileSharded(softmaxCase, shards, DEFAULT);
  const { x, taken } = compiled.data;
  const loader = gpuLoader.bind(undefined, device.device, compiled);
  const results = await runShards(compiled, loader, (each) => each.run(x, taken));
  expect(headProblems(softmaxCase, compiled, results)).toEqual([]);
});

test.each(ffns)("%s, over %o", async (_name, shards, ffnCase) => {
  const compiled = compileShardedFfn(ffnCase, shards, DEFAULT);
  const loader = gpuLoader.bind(undefined, device.device, compiled);
  const { results, recalls, expected } = await runMonitored(compiled, loader);
  expect(ffnProblems(ffnCase, compiled, results)).toEqual([]);
  for (const recall of recalls) expect(recall).toEqual(expected);
});
