// The layers of one shard, whatever device and whatever engine: every process, or every device of one process, loads its own.

import { HireError } from "../errors.ts";
import { requireLayer } from "../model.ts";
import type { FfnPlan, LayerPlan, Plan, SoftmaxPlan } from "../plan.ts";
import { shardPlan } from "../shard-plan.ts";
import type { Collective } from "./collective.ts";
import { PAIR_WORDS } from "./pairs.ts";
import type { RawLoader } from "./raw-layer.ts";
import { createShardedFfn, type ShardedFfn } from "./sharded-ffn.ts";
import { createShardedSoftmax, type ShardedSoftmax } from "./sharded-softmax.ts";

export type ShardedLayer = ShardedSoftmax | ShardedFfn;

/**
 * Loads sharded layers as the shard whose number is the collective's rank.
 * @param names of sharded layers.
 * @throws HireError HIRE-RUN-020 when there are not as many participants as shards, HIRE-RUN-008 when there is no such layer,
 * and whatever the loader throws; what was loaded is freed then.
 */
export async function loadShard(
  plan: Plan,
  names: readonly string[],
  loader: RawLoader,
  collective: Collective,
): Promise<Readonly<Record<string, ShardedLayer>>> {
  const count = plan.shards?.count ?? 1;
  if (collective.size !== count) {
    throw new HireError({
      code: "HIRE-RUN-020",
      message: `"${plan.model}" has ${count} shards, but ${collective.size} take part (${collective.engine})`,
      fix: `Start ${count}, such as mpirun -n ${count}, or compile for ${collective.size} shards`,
    });
  }
  const own = shardPlan(plan, collective.rank);
  const programs = (of: Plan) => of.programs.find(({ profile }) => profile === loader.profile)!.layers;
  const layers: Record<string, ShardedLayer> = {};
  try {
    for (const name of names) {
      const whole = requireLayer(plan, name);
      const part = own.layers[name];
      const layer = part && (await loader.load(name, part, programs(own)[name]!));
      try {
        layers[name] =
          whole.kind === "ffn"
            ? createShardedFfn(name, whole, layer && { plan: part as FfnPlan, layer }, collective)
            : createShardedSoftmax(
                name,
                whole,
                {
                  ...(layer && { own: { plan: part as SoftmaxPlan, layer } }),
                  merge: await loader.load(name, mergePlan(whole), programs(plan)[name]!),
                },
                collective,
              );
      } catch (thrown) {
        layer?.destroy();
        throw thrown;
      }
    }
    return layers;
  } catch (thrown) {
    for (const layer of Object.values(layers)) layer.destroy();
    throw thrown;
  }
}

/** The merge as a layer without weights, whose tokens are what was gathered of each. */
function mergePlan(plan: SoftmaxPlan): LayerPlan {
  const { count, offered } = plan.sharding!;
  return { ...plan, inputs: count * (1 + offered) * PAIR_WORDS, tensors: [] };
}
