// What the plan of a whole layer says of its shards.

import type { ShardingPlan } from "../runtime/plan.ts";
import type { CheckedLayer } from "./model.ts";
import { expectedRecall } from "./recall.ts";
import { resendOdds } from "./shard-odds.ts";
import { evenShards, largestShard, selectedBy } from "./spread.ts";

/** @returns nothing for a layer that is whole. */
export function planSharding(layer: CheckedLayer): ShardingPlan | undefined {
  if (!layer.shards) return undefined;
  const { count, layout, keep, sent } = layer.shards;
  const from = selectedBy(layer);
  const shards = evenShards(from, layer.shards);
  const isHead = layer.kind === "softmax";
  return {
    count,
    layout,
    keep,
    sent,
    offered: isHead ? Math.min(layer.k, keep, largestShard(from, layer.shards)) : 0,
    recall: rounded(expectedRecall(shards, from.selected, keep)),
    resend: isHead ? rounded(resendOdds(shards, layer.k, sent)) : 0,
  };
}

/** Six decimals, as recalls elsewhere in the plan. */
function rounded(share: number): number {
  return Number(share.toFixed(6));
}
