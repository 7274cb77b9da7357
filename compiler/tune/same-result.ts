// Whether two schedules of a layer return the same. They may add up in other orders, so that numbers differ by their rounding
// and rows that tie within it change places; anything else is another result.

import { type FfnResult, type LayerResult, NO_ROW, type SoftmaxResult } from "../../runtime/layer.ts";
import type { FfnPlan, LayerPlan, SoftmaxPlan } from "../../runtime/plan.ts";

/** How far sums of f32 may drift, a unit in the last place for each product, as a share of the largest of the results. */
function toleranceOf(inputs: number): number {
  return inputs * 2 ** -24;
}

type Numbers = ArrayLike<number>;

/** @returns what differs, in words; nothing where the results are the same. */
export function findDifference(layer: LayerPlan, expected: LayerResult, found: LayerResult): string | undefined {
  return layer.kind === "softmax"
    ? differenceOfRows(layer, expected as SoftmaxResult, found as SoftmaxResult)
    : differenceOfSums(layer, expected as FfnResult, found as FfnResult);
}

function differenceOfRows({ inputs, k }: SoftmaxPlan, expected: SoftmaxResult, found: SoftmaxResult) {
  for (let token = 0; token * k < expected.indices.length; token++) {
    const part = <Array extends Numbers & { subarray(from: number, to: number): Array }>(numbers: Array) =>
      numbers.subarray(token * k, (token + 1) * k);
    const [values, others] = [part(expected.values as Float32Array), part(found.values as Float32Array)];
    const [rows, otherRows] = [part(expected.indices), part(found.indices)];
    const tolerance = toleranceOf(inputs) * largestOf(values);
    for (let rank = 0; rank < k; rank++) {
      if (!isClose(values[rank]!, others[rank]!, tolerance)) return `value ${rank} of token ${token}`;
      if (rows[rank] === otherRows[rank]) continue;
      // Another row is at this place: one that ties with it, or with the last one that is returned.
      const place = otherRows.indexOf(rows[rank]!);
      const tied = others[place < 0 ? k - 1 : place]!;
      if (rows[rank] === NO_ROW || !isClose(values[rank]!, tied, tolerance)) return `row ${rank} of token ${token}`;
    }
  }
  // A sum of exp is as wrong as its largest term, which is off by as much as values are.
  const lseTolerance = toleranceOf(inputs) * largestOf(expected.values);
  if (differs(expected.lse, found.lse, lseTolerance)) return "lse";
  if (differs(expected.certified, found.certified, 0)) return "certified";
  return differs(expected.sampled, found.sampled, 0) ? "sampled" : undefined;
}

function differenceOfSums({ inputs, rows, k }: FfnPlan, expected: FfnResult, found: FfnResult) {
  const sorted = (groups: Uint32Array, first: number) => String(groups.slice(first, first + k).sort());
  for (let first = 0; first < expected.groups.length; first += k) {
    if (sorted(expected.groups, first) !== sorted(found.groups, first)) return `groups of token ${first / k}`;
  }
  const tolerance = toleranceOf(inputs + rows) * largestOf(expected.output);
  return differs(expected.output, found.output, tolerance) ? "output" : undefined;
}

function differs(expected: Numbers | undefined, found: Numbers | undefined, tolerance: number): boolean {
  if (!expected || !found) return expected !== found;
  return Array.from(expected).some((value, i) => !isClose(value, found[i]!, tolerance));
}

/** Equal infinities, and NaN, are the same. */
function isClose(one: number, other: number, tolerance: number): boolean {
  return Object.is(one, other) || one === other || Math.abs(one - other) <= tolerance;
}

function largestOf(values: Numbers): number {
  return Array.from(values).reduce(
    (most, value) => (Number.isFinite(value) ? Math.max(most, Math.abs(value)) : most),
    0,
  );
}
