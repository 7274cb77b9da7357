// The plan of one shard, out of that of all: an ordinary plan, for whatever packs, loads and runs.

import { HireError } from "./errors.ts";
import type { LayerPlan, Plan, Program } from "./plan.ts";

/**
 * What shard `index` has: its part of each sharded layer, and the layers that are whole. A layer of which it has no rows
 * is missing.
 * @throws HireError HIRE-RUN-020 when the plan has no such shard.
 */
export function shardPlan(plan: Plan, index: number): Plan {
  const { shards, ...whole } = plan;
  const shard = shards?.shards[index];
  if (!shards || !shard) {
    throw new HireError({
      code: "HIRE-RUN-020",
      message: `"${plan.model}" has no shard ${index}: it has ${shards ? `${shards.count}, counted from 0` : "none"}`,
      fix: shards
        ? `Take one from 0 to ${shards.count - 1}`
        : "Add shards to a layer of the spec, or load the model whole",
    });
  }
  const part = shards.parts[shard.part]!;
  const isWhole = ([, { sharding }]: readonly [string, LayerPlan]) => sharding === undefined;
  const wholeLayers = Object.entries(plan.layers).filter(isWhole);
  const ofShard = Object.entries(part.layers).map(([name, layer]) => {
    return [name, { ...layer, shard: { ...layer.shard!, index } }] as const;
  });
  const wholeNames = wholeLayers.map(([name]) => name);
  return {
    ...whole,
    packHash: shard.packHash,
    layers: Object.fromEntries([...wholeLayers, ...ofShard]),
    programs: plan.programs.map((program): Program => {
      const kept = Object.entries(program.layers).filter(([name]) => wholeNames.includes(name));
      return { ...program, layers: { ...Object.fromEntries(kept), ...part.programs[program.profile] } };
    }),
  };
}
