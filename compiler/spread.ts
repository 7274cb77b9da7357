// How much each shard of a layer selects and sends, from what a spec asks for.

import type { AskedShards, CheckedLayer, CheckedShards } from "./model.ts";
import { smallestKeep } from "./recall.ts";
import { smallestSent } from "./shard-odds.ts";

/** What a layer selects from, and how much of it. */
export interface Selected {
  readonly kind: "softmax" | "ffn";
  /** Rows or groups that there are. */
  readonly choices: number;
  /** How many of them are recomputed by a head, or added up by a feed-forward. */
  readonly selected: number;
  readonly k: number;
}

export function selectedBy(layer: CheckedLayer): Selected {
  const { kind, k } = layer;
  return kind === "ffn"
    ? { kind, k, selected: k, choices: layer.group.count - layer.group.common }
    : { kind, k, selected: layer.candidates, choices: layer.rows };
}

export function spread(asked: AskedShards, { kind, choices, selected, k }: Selected): CheckedShards {
  const { count, layout, slack, exchange } = asked;
  const shards = { rows: choices, count };
  const largest = Math.ceil(choices / count);
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
