// What the options of a layer make of its scores, apart from runtime/reference: sums instead of reductions, and of a draw
// every rank that rounding could lead to.

import type { SoftmaxPlan } from "../../runtime/plan.ts";
import { type Near, through } from "./near.ts";
import type { Expected } from "./oracle.ts";

export interface ExpectedOptions {
  /** What the layer returns for a score. */
  readonly finalOf: (score: Near) => Near;
  /** Rows that may be returned. */
  readonly allowed: readonly number[];
  readonly lse: number;
  readonly lseSlack: number;
  /** Ranks of these results that may be drawn: one, unless the uniform number lies on a boundary. */
  readonly drawnRanks: (best: readonly number[]) => readonly number[];
}

/** What becomes of scores that are ranked: the transform, and the division by the temperature. */
export function finalValues({ temperature = 1 }: SoftmaxPlan, transform?: (score: number) => number) {
  return (score: Near): Near => {
    const { value, slack } = transform && !Number.isNaN(score.value) ? through(transform, score) : score;
    // Division may be off by 2.5 units (WGSL §15.7.4).
    const rounding = temperature === 1 ? 0 : 3 * 2 ** -23 * Math.abs(value / temperature);
    return { value: value / temperature, slack: slack / temperature + rounding };
  };
}

type Scores = Omit<Expected, "options" | "survivors" | "cuts" | "best">;

/** Relative error of a sum of exponentials in floats, with room for a few hundred terms and WGSL's exp (§15.7.4). */
const SUM_SLACK = 1e-5;

export function expectedOptions(
  plan: SoftmaxPlan,
  scores: Scores,
  allowed: readonly number[],
  finalOf: (score: Near) => Near,
  uniform: number,
): ExpectedOptions {
  const { exact, exactSlack, estimates, estimateSlack, candidates } = scores;
  const terms = candidates.map((row) => finalOf({ value: exact[row]!, slack: exactSlack[row]! }));
  if (plan.logSumExp === "all" || plan.logSumExp === "estimates") {
    const chosen = new Set(candidates);
    for (const row of allowed) {
      if (chosen.has(row)) continue;
      terms.push(finalOf({ value: estimates[row]!, slack: estimateSlack[row]! }));
    }
  }
  const lse = sumOfExp(terms.map(({ value }) => value));
  const finite = terms.filter(({ value, slack }) => Number.isFinite(value) && Number.isFinite(slack));
  const largestSlack = finite.reduce((most, { slack }) => Math.max(most, slack), 0);
  const rounding = 8 * 2 ** -23 * finite.reduce((most, { value }) => Math.max(most, Math.abs(value)), 1);
  return {
    ...{ finalOf, allowed },
    lse,
    lseSlack: SUM_SLACK + largestSlack + rounding,
    drawnRanks: (best) => {
      const values = best.map((row) => finalOf({ value: exact[row]!, slack: 0 }).value);
      return drawnRanks(plan, values, uniform);
    },
  };
}

function sumOfExp(values: readonly number[]): number {
  if (values.some((value) => Number.isNaN(value))) return Number.NaN;
  const finite = values.map((value) => Math.fround(value)).filter((value) => value !== Number.NEGATIVE_INFINITY);
  if (finite.includes(Number.POSITIVE_INFINITY)) return Number.POSITIVE_INFINITY;
  if (finite.length === 0) return Number.NEGATIVE_INFINITY;
  const largest = Math.max(...finite);
  let sum = 0;
  for (const value of finite) sum += Math.exp(value - largest);
  return largest + Math.log(sum);
}

/** Every rank that a draw may end at when sums are off by `SUM_SLACK`. */
function drawnRanks({ sampler, topK, topP }: SoftmaxPlan, values: readonly number[], uniform: number): number[] {
  if (sampler !== "multinomial" || values.length === 0 || !Number.isFinite(Math.fround(values[0]!))) return [0];
  const weights = values.slice(0, topK).map((value) => Math.exp(value - values[0]!));
  const sums = weights.map((_, i) => weights.slice(0, i + 1).reduce((sum, weight) => sum + weight, 0));
  const total = sums.at(-1)!;
  const isEnd = (rank: number, share: number) => sums[rank]! >= share * total;
  const shortest = sums.findIndex((_, rank) => isEnd(rank, topP! * (1 - SUM_SLACK)));
  const longest = sums.findIndex((_, rank) => isEnd(rank, topP! * (1 + SUM_SLACK)));
  const ends = sums.map((_, rank) => rank).slice(shortest, longest < 0 ? undefined : longest + 1);
  const u = Number.isNaN(uniform) ? 0 : Math.min(Math.max(uniform, 0), 1);
  const possible = new Set<number>();
  for (const end of ends) {
    const mass = sums[end]!;
    for (let rank = 0; rank <= end; rank++) {
      const [from, to] = [sums[rank]! - weights[rank]!, sums[rank]!];
      // Nothing is below the first: 0 takes it always.
      const reaches = rank === 0 || u * mass >= from - SUM_SLACK * mass;
      const stays = u * mass < to + (u === 0 ? 0 : SUM_SLACK * mass) || rank === end;
      if (reaches && stays && weights[rank]! > 1e-37 && !(u === 0 && rank > 0)) possible.add(rank);
    }
  }
  return [...possible];
}
