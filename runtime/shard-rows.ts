// Which rows of a layer, or groups of neurons, a shard has.

/** How a layer is spread, and one shard of it. */
export interface ShardRows {
  readonly count: number;
  /** Row r is shard r mod count's, or each shard has a range of as many as the others, the last ones fewer or none. */
  readonly layout: "interleaved" | "contiguous";
  readonly index: number;
}

/** Of the first `choices` rows or groups, out of `all`, how many a shard has. */
export function shardChoices(choices: number, { count, layout, index }: ShardRows, all = choices): number {
  if (layout === "interleaved") return Math.max(0, Math.ceil((choices - index) / count));
  const each = Math.ceil(all / count);
  return Math.min(Math.max(0, choices - index * each), each);
}

/** Whose row it is, or group, by its number among all. */
export function shardOf(row: number, all: number, { count, layout }: Omit<ShardRows, "index">): number {
  return layout === "interleaved" ? row % count : Math.floor(row / Math.ceil(all / count));
}

/** The number, among all, of a shard's row or group. */
export function globalRow(row: number, all: number, { count, layout, index }: ShardRows): number {
  return layout === "interleaved" ? row * count + index : index * Math.ceil(all / count) + row;
}
