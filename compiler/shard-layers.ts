// The part of a sharded layer that one shard computes by itself, as a layer of its own: fewer rows, its share of what is
// selected, and nothing of what is decided only when all shards have met.

import { type ShardRows, shardChoices } from "../runtime/shard-rows.ts";
import type { CheckedFfn, CheckedLayer, CheckedSelector, CheckedShards, CheckedSoftmax } from "./model.ts";

/** @returns nothing for a shard that has no rows. */
export function shardLayer(layer: CheckedLayer, shards: CheckedShards, index: number): CheckedLayer | undefined {
  const spread: ShardRows = { count: shards.count, layout: shards.layout, index };
  return layer.kind === "softmax" ? shardHead(layer, shards, spread) : shardFfn(layer, shards, spread);
}

function shardHead(layer: CheckedSoftmax, { keep }: CheckedShards, spread: ShardRows): CheckedSoftmax | undefined {
  const { shards: _, ...whole } = layer;
  const rows = shardChoices(layer.rows, spread);
  if (rows === 0) return undefined;
  const candidates = Math.min(keep, rows);
  const k = Math.min(layer.k, candidates);
  const { bias, mask } = layer.options;
  return {
    ...whole,
    rows,
    k,
    candidates: layer.estimator.kind === "dense" ? k : candidates,
    select: shareOfSelector(layer.select, spread.count, candidates, rows),
    estimator: fittingEstimator(layer, rows),
    options: { ...(bias !== undefined && { bias }), ...(mask && { mask }) },
    shard: { count: spread.count, layout: spread.layout, rows: layer.rows, choices: layer.rows },
  };
}

function shardFfn(layer: CheckedFfn, { keep }: CheckedShards, spread: ShardRows): CheckedFfn | undefined {
  const { shards: _, biases, ...whole } = layer;
  const { size, count, common } = layer.group;
  const groups = shardChoices(count, spread);
  if (groups === 0) return undefined;
  // The last group of all may be smaller; it is the last of the shard that has it.
  const hasLast = spread.layout === "interleaved" ? (count - 1) % spread.count === spread.index : isLast(count, spread);
  const rows = groups * size - (hasLast ? count * size - layer.rows : 0);
  // Where all groups of a shard are common ones, the last of them is selected from itself.
  const ownCommon = Math.min(shardChoices(common, spread, count), groups - 1);
  const selectable = groups - ownCommon;
  const k = Math.min(keep, selectable);
  const share = Math.ceil((layer.candidates / layer.k) * k);
  const candidates = layer.estimator.kind === "dense" ? k : Math.min(Math.max(k, share), selectable);
  const { up, down } = biases ?? {};
  // Each result is the sum over shards, to which a bias of the result is added once.
  const ownDown = spread.index === 0 ? down : undefined;
  return {
    ...whole,
    rows,
    group: { ...layer.group, count: groups, common: ownCommon },
    k,
    candidates,
    select: shareOfSelector(layer.select, spread.count, candidates, selectable),
    estimator: fittingEstimator(layer, rows),
    ...((up ?? ownDown) !== undefined && {
      biases: { ...(up !== undefined && { up }), ...(ownDown !== undefined && { down: ownDown }) },
    }),
    shard: { count: spread.count, layout: spread.layout, rows: layer.rows, choices: count },
  };
}

function isLast(choices: number, spread: ShardRows): boolean {
  const later = { ...spread, index: spread.index + 1 };
  return spread.index === spread.count - 1 || shardChoices(choices, later) === 0;
}

function shareOfSelector(
  select: CheckedSelector,
  shards: number,
  candidates: number,
  choices: number,
): CheckedSelector {
  if (select.kind !== "statistical" || select.expected === undefined) return select;
  return { kind: select.kind, expected: Math.min(choices, Math.max(candidates, Math.ceil(select.expected / shards))) };
}

/** A basis has at most as many rows as the matrix. */
function fittingEstimator({ estimator }: CheckedLayer, rows: number): CheckedLayer["estimator"] {
  return estimator.kind === "lowRank" ? { ...estimator, rank: Math.min(estimator.rank, rows) } : estimator;
}
