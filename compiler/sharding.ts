// What the plan of a whole layer says of its shards.

import type { ShardingPlan } from "../runtime/plan.ts";
import type { CheckedLayer } from "./model.ts";
import { expectedRecall } from "./recall.ts";
import { resendOdds } from "./shard-odds.ts";

/** @returns nothing for a layer that is whole. */
export function planSharding(layer: CheckedLayer): ShardingPlan | undefined {
  if (!layer.shards) return undefined;
  const { count, layout, keep, sent } = layer.shards;
  const choices = layer.kind === "ffn" ? layer.group.count - layer.group.common : layer.rows;
  const spread = { rows: choices, count };
  const selected = layer.kind === "ffn" ? layer.k : layer.candidates;
  const isHead = layer.kind === "softmax";
  return {
    count,
    layout,
    keep,
    sent,
    offered: isHead ? Math.min(layer.k, keep, Math.ceil(choices / count)) : 0,
    recall: rounded(expectedRecall(spread, selected, keep)),
    resend: isHead ? rounded(resendOdds(spread, layer.k, sent)) : 0,
  };
}

/** Six decimals, as recalls elsewhere in the plan. */
function rounded(share: number): number {
  return Number(share.toFixed(6));
}
