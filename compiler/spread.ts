// How much each shard of a layer selects and sends, from what a spec asks for.

import { shardChoices } from "../runtime/shard-rows.ts";
import type { AskedShards, CheckedLayer, CheckedShards } from "./model.ts";
import { smallestKeep } from "./recall.ts";
import { smallestSent } from "./shard-odds.ts";

/** What a layer selects from, and how much of it. */
export interface Selected {
  readonly kind: "softmax" | "ffn";
  /** Rows or groups that there are to select from. */
  readonly choices: number;
  /** Groups before them that every token computes; 0 of a head. */
  readonly common: number;
  /** How many of them are recomputed by a head, or added up by a feed-forward. */
  readonly selected: number;
  readonly k: number;
}

export function selectedBy(layer: CheckedLayer): Selected {
  const { kind, k } = layer;
  if (kind === "softmax") return { kind, k, selected: layer.candidates, choices: layer.rows, common: 0 };
  const { count, common } = layer.group;
  return { kind, k, selected: k, choices: count - common, common };
}

/** How many the shard that has most selects from: in ranges, the first shards have the common groups and fewer others. */
export function largestShard(
  { choices, common }: Pick<Selected, "choices" | "common">,
  { count, layout }: Pick<AskedShards, "count" | "layout">,
): number {
  const all = choices + common;
  const own = Array.from({ length: count }, (_, index) => {
    const shard = { count, layout, index };
    return shardChoices(all, shard) - shardChoices(common, shard, all);
  });
  return Math.max(...own);
}

/** What closed forms are asked about, which take shards to be even: shards of which the largest has as many as it has here. */
export function evenShards(
  selected: Pick<Selected, "choices" | "common">,
  asked: Pick<AskedShards, "count" | "layout">,
): { readonly rows: number; readonly count: number } {
  const { count } = asked;
  return { rows: Math.max(selected.choices, (largestShard(selected, asked) - 1) * count + 1), count };
}

export function spread(asked: AskedShards, from: Selected): CheckedShards {
  const { count, layout, slack, exchange } = asked;
  const { kind, selected, k } = from;
  const shards = evenShards(from, asked);
  const largest = largestShard(from, asked);
  const keep =
    typeof slack === "number"
      ? Math.min(largest, Math.ceil((slack * selected) / count))
      : smallestKeep(shards, selected, slack.recall);
  if (kind === "ffn" || exchange === undefined) return { count, layout, slack, keep, sent: 0 };
  // A second exchange takes what is there already: the k best of a shard are.
  const most = Math.min(k, largest);
  const sent = typeof exchange === "number" ? exchange : smallestSent(shards, k, exchange.resend);
  return { count, layout, slack, exchange, keep: Math.max(keep, most), sent: Math.min(sent, most) };
}
