// The layers of one shard, whatever device and whatever engine: every process, or every device of one process, loads its own.

import { HireError } from "../errors.ts";
import { requireLayer } from "../model.ts";
import type { FfnPlan, LayerPlan, LayerProgram, Plan, SoftmaxPlan } from "../plan.ts";
import { shardPlan } from "../shard-plan.ts";
import type { Collective } from "./collective.ts";
import { PAIR_WORDS } from "./pairs.ts";
import type { RawLoader } from "./raw-layer.ts";
import { checkMonitor, createMonitor, type MonitorOptions, withCandidates } from "./recall-monitor.ts";
import { createShardedFfn, type ShardedFfn } from "./sharded-ffn.ts";
import { createShardedSoftmax, type ShardedSoftmax } from "./sharded-softmax.ts";

export type ShardedLayer = ShardedSoftmax | ShardedFfn;

/** A layer as one shard loads it. */
export interface ShardParts {
  /** The whole layer. */
  readonly whole: LayerPlan;
  /** What the shard computes; absent when it has no rows. */
  readonly own?: LayerOnDevice;
  /** Of a head, what merges the pairs of all shards. */
  readonly merge?: LayerOnDevice;
}

export interface LayerOnDevice {
  readonly plan: LayerPlan;
  readonly program: LayerProgram;
}

export interface ShardLoadOptions {
  /** Measures what share of the best groups the shards of feed-forwards find. Every rank asks for the same. */
  readonly monitor?: MonitorOptions;
}

/**
 * Loads sharded layers as the shard whose number is the collective's rank.
 * @param names of sharded layers.
 * @throws HireError HIRE-RUN-020 when there are not as many participants as shards, HIRE-RUN-008 when there is no such layer,
 * HIRE-RUN-024 when none of them can be monitored, and whatever the loader throws; what was loaded is freed then.
 */
export async function loadShard(
  plan: Plan,
  names: readonly string[],
  loader: RawLoader,
  collective: Collective,
  { monitor }: ShardLoadOptions = {},
): Promise<Readonly<Record<string, ShardedLayer>>> {
  if (monitor) checkMonitor(plan, names, monitor);
  const load = (name: string, part: LayerOnDevice) => loader.load(name, part.plan, part.program);
  return loadParts(plan, names, loader.profile, collective, async (name, { whole, own, merge }) => {
    const isMonitored = monitor !== undefined && whole.kind === "ffn";
    const layer = own && (await load(name, isMonitored ? { ...own, program: withCandidates(own.program) } : own));
    try {
      if (whole.kind === "ffn") {
        const part = layer && { plan: own!.plan as FfnPlan, layer };
        const watch = monitor && createMonitor(name, whole, partsOf(plan, name), collective, monitor);
        return createShardedFfn(name, whole, part, collective, watch);
      }
      const layers = {
        ...(layer && { own: { plan: own!.plan as SoftmaxPlan, layer } }),
        merge: await load(name, merge!),
      };
      return createShardedSoftmax(name, whole, layers, collective);
    } catch (thrown) {
      layer?.destroy();
      throw thrown;
    }
  });
}

/**
 * Loads the layers of one shard, one after another; when one fails, those before are freed.
 * @param load makes a layer.
 * @throws HireError HIRE-RUN-020 and HIRE-RUN-008 as `loadShard`.
 */
export async function loadParts<Layer extends { destroy(): void }>(
  plan: Plan,
  names: readonly string[],
  profile: string,
  { rank, size, engine }: Pick<Collective, "rank" | "size" | "engine">,
  load: (name: string, parts: ShardParts) => Promise<Layer>,
): Promise<Readonly<Record<string, Layer>>> {
  const count = plan.shards?.count ?? 1;
  if (size !== count) {
    throw new HireError({
      code: "HIRE-RUN-020",
      message: `"${plan.model}" has ${count} shards, but ${size} take part (${engine})`,
      fix: `Start ${count}, such as mpirun -n ${count}, or compile for ${size} shards`,
    });
  }
  const shard = shardPlan(plan, rank);
  const programs = (of: Plan) => of.programs.find((program) => program.profile === profile)!.layers;
  const layers: Record<string, Layer> = {};
  try {
    for (const name of names) {
      const whole = requireLayer(plan, name);
      const own = shard.layers[name];
      layers[name] = await load(name, {
        whole,
        ...(own && { own: { plan: own, program: programs(shard)[name]! } }),
        ...(whole.kind === "softmax" && { merge: { plan: mergePlan(whole), program: programs(plan)[name]! } }),
      });
    }
    return layers;
  } catch (thrown) {
    for (const layer of Object.values(layers)) layer.destroy();
    throw thrown;
  }
}

/** What each shard computes of a feed-forward. */
function partsOf({ shards }: Plan, name: string): (FfnPlan | undefined)[] {
  return shards!.shards.map(({ part }) => shards!.parts[part]!.layers[name] as FfnPlan | undefined);
}

/** The merge as a layer without weights, whose tokens are what was gathered of each. */
function mergePlan(plan: SoftmaxPlan): LayerPlan {
  const { count, offered } = plan.sharding!;
  return { ...plan, inputs: count * (1 + offered) * PAIR_WORDS, tensors: [] };
}
