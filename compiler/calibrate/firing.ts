// Which groups of a feed-forward fire for nearly every token, and what another order of its neurons would be worth.

import { type ExactLayer, tokenOf } from "../../runtime/measure/exact.ts";
import type { CheckedFfn } from "../model.ts";
import { readsOf } from "../reads.ts";
import { tile } from "../tile.ts";
import { withSetting } from "./grid.ts";
import type { Firing, Setting } from "./result.ts";

/** The share of tokens from which on a group counts as always chosen. */
export const ALWAYS = 0.95;

export function firingOf({ plan, tokens, choices, common, best, neurons }: ExactLayer): Firing {
  const rates = new Array<number>(choices).fill(0);
  for (const groups of best) for (const group of groups) rates[group]! += 1 / tokens;
  const isAlways = (group: number) => rates[group]! >= ALWAYS;
  let leading = 0;
  while (common + leading < choices && isAlways(common + leading)) leading++;
  const always = rates.filter((_, group) => group >= common && isAlways(group)).length;
  return {
    rates,
    always,
    leading,
    potentialBytes: 0,
    ...orderOf(plan.rows, plan.group!.size, tokens, neurons!.hidden),
  };
}

/** What one launch would read less if `always` groups lay first, were common, and k and candidates were as many fewer. */
export function savedByCommon(layer: CheckedFfn, setting: Setting, always: number): number {
  const count = Math.min(always, layer.k - 1);
  const own = withSetting(layer, setting);
  if (count <= 0 || own.kind !== "ffn") return 0;
  const group = { ...layer.group, common: layer.group.common + count };
  const changed = { ...own, k: own.k - count, candidates: own.candidates - count, group };
  return Math.max(0, readsOf(tile(own), layer.batch).total - readsOf(tile(changed), layer.batch).total);
}

/** Groups that hold an active neuron, as neurons lie and as they would lie ordered by how often they are active. */
function orderOf(rows: number, size: number, tokens: number, hidden: Float32Array) {
  const counts = new Uint32Array(rows);
  for (let i = 0; i < hidden.length; i++) if (hidden[i] !== 0) counts[i % rows]!++;
  const place = new Uint32Array(rows);
  [...counts.keys()].sort((a, b) => counts[b]! - counts[a]! || a - b).forEach((row, at) => void place.set([at], row));
  const touched = (placeOf: (row: number) => number) => {
    let sum = 0;
    const groups = new Set<number>();
    for (let token = 0; token < tokens; token++) {
      groups.clear();
      tokenOf(hidden, token, rows).forEach((value, row) => {
        if (value !== 0) groups.add(Math.floor(placeOf(row) / size));
      });
      sum += groups.size;
    }
    return sum / tokens;
  };
  return {
    activeNeurons: counts.reduce((sum, count) => sum + count, 0) / tokens,
    touchedGroups: touched((row) => row),
    touchedGroupsOrdered: touched((row) => place[row]!),
  };
}
