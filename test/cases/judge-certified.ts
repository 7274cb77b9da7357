// Whether a backend's result for one token is right when the layer may claim that it is what an exact pass over all rows
// returns.

import type { SoftmaxPlan } from "../../runtime/plan.ts";
import { type Found, judge } from "./judge.ts";
import { compare, type Expected, sorted } from "./oracle.ts";

export interface FoundWithFlag extends Found {
  /** 1 when the token is certified; absent when the layer is not. */
  readonly certified?: number;
}

/** What is wrong with a result, in words: with the claim when the result makes one, with the choice otherwise. */
export function judgeClaim(
  comparison: "exact" | "rounded",
  plan: SoftmaxPlan,
  expected: Expected,
  found: FoundWithFlag,
): string[] {
  const { certificate } = plan;
  if (!certificate)
    return found.certified === undefined ? judge(comparison, plan, expected, found) : ["a flag too many"];
  if (found.certified !== 0 && found.certified !== 1) return [`the flag is ${found.certified}`];
  const asSelected = found.certified === 1 || certificate.kind === "report";
  const claimsAll = found.certified === 1 || certificate.kind === "fallback";
  return [
    ...(asSelected ? judge(comparison, plan, expected, found) : []),
    ...(claimsAll ? judgeWhole(comparison, plan, expected, found) : []),
  ];
}

/** What is wrong with a result that ought to be the best of all rows. */
export function judgeWhole(
  comparison: "exact" | "rounded",
  plan: SoftmaxPlan,
  { exact, exactSlack, ...expected }: Expected,
  found: Found,
): string[] {
  const all = sorted(expected.options.allowed, exact);
  const selection = { ...plan.selection, keep: plan.rows };
  const survivors = expected.survivors.map((_, bucket) => all.filter((row) => row % selection.buckets === bucket));
  const best = all.slice(0, plan.k);
  // As if the exact scores had selected.
  const selected = {
    exact,
    exactSlack,
    estimates: exact,
    estimateSlack: exactSlack,
    survivors,
    cuts: survivors.map(() => Number.NaN),
    candidates: all,
    best,
    options: expected.options,
  };
  const problems = judge(comparison, { ...plan, candidates: plan.rows, selection }, selected, found);
  if (problems.length > 0) return problems;
  // The claim is stricter than what rounding allows the choice: no other row comes up to the last value.
  const returned = new Set(Array.from(found.indices));
  const last = found.values[plan.k - 1]!;
  const least = (row: number) => {
    const { value, slack } = expected.options.finalOf({ value: exact[row]!, slack: exactSlack[row]! });
    // A row with infinity is infinite or NaN whatever is rounded.
    return value - (Number.isFinite(slack) ? slack : 0);
  };
  const missed = all.filter((row) => !returned.has(row) && compare(least(row), last) > 0);
  return missed.map((row) => `row ${row} (${exact[row]}) is above the last value ${last}`);
}
