// What the shards of a model compute: a plan for each, of which those that are alike are one.

import type { LayerPlan, LayerProgram, ShardsPlan } from "../runtime/plan.ts";
import { fuse } from "./fuse.ts";
import { lower } from "./lower.ts";
import type { CheckedLayer } from "./model.ts";
import { packHash } from "./pack-hash.ts";
import type { PlannedLayer } from "./plan-layers.ts";
import type { Profile } from "./profiles.ts";
import { schedule } from "./schedule.ts";
import { shardLayer } from "./shard-layers.ts";
import { tile } from "./tile.ts";

/** A layer as shards of some size compute it. */
interface Variant {
  readonly plan: LayerPlan;
  /** By the names of profiles. */
  readonly programs: Readonly<Record<string, LayerProgram>>;
}

/**
 * @param planned those that are whole among them; all that are sharded have as many shards.
 * @returns nothing when no layer is sharded.
 */
export function planShards(planned: readonly PlannedLayer[], profiles: readonly Profile[]): ShardsPlan | undefined {
  const plans = Object.fromEntries(planned.map(({ layer, plan }) => [layer.name, plan]));
  const sharded = planned.map(({ layer }) => layer).filter(({ shards }) => shards !== undefined);
  const count = sharded[0]?.shards?.count;
  if (count === undefined) return undefined;
  const variants = new Map<string, Variant>();
  const variantOf = (layer: CheckedLayer, index: number) => {
    const own = shardLayer(layer, layer.shards!, index);
    if (!own) return undefined;
    const key = JSON.stringify(own);
    if (!variants.has(key)) variants.set(key, planVariant(own, `${own.name}_shard${index}`, profiles));
    return variants.get(key);
  };
  const parts: (readonly (Variant | undefined)[])[] = [];
  const shards = Array.from({ length: count }, (_, index) => {
    const own = sharded.map((layer) => variantOf(layer, index));
    let part = parts.findIndex((each) => each.every((variant, i) => variant === own[i]));
    if (part < 0) part = parts.push(own) - 1;
    const layersOfShard = sharded.map(({ name }, i) => [name, own[i] && withIndex(own[i].plan, index)] as const);
    return { part, packHash: packHash(withoutAbsent({ ...plans, ...Object.fromEntries(layersOfShard) })) };
  });
  const byName = <Of>(own: readonly (Variant | undefined)[], of: (variant: Variant) => Of) =>
    withoutAbsent(Object.fromEntries(sharded.map(({ name }, i) => [name, own[i] && of(own[i])])));
  return {
    count,
    shards,
    parts: parts.map((own) => ({
      layers: byName(own, ({ plan }) => plan),
      programs: Object.fromEntries(profiles.map(({ name }) => [name, byName(own, ({ programs }) => programs[name]!)])),
    })),
  };
}

function planVariant(layer: CheckedLayer, name: string, profiles: readonly Profile[]): Variant {
  const plan = tile(layer);
  const programs = profiles.map((profile) => {
    return [profile.name, schedule(name, plan, fuse(lower(layer), layer, profile), profile)] as const;
  });
  return { plan, programs: Object.fromEntries(programs) };
}

function withIndex(plan: LayerPlan, index: number): LayerPlan {
  return { ...plan, shard: { ...plan.shard!, index } };
}

function withoutAbsent<Value>(values: Readonly<Record<string, Value | undefined>>): Record<string, Value> {
  const present = Object.entries(values).filter((entry): entry is [string, Value] => entry[1] !== undefined);
  return Object.fromEntries(present);
}
