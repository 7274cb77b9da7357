// Whether a backend's result for one token is right.

import { NO_ROW } from "../../runtime/layer.ts";
import type { ScoredPlan, SoftmaxPlan } from "../../runtime/plan.ts";
import type { ExpectedOptions } from "./option-oracle.ts";
import { compare, type Expected, sorted } from "./oracle.ts";

/** A backend's result for one token: `k` rows and their values. */
export interface Found {
  readonly indices: ArrayLike<number>;
  readonly values: ArrayLike<number>;
  readonly lse?: number;
  readonly sampled?: number;
}

/**
 * What is wrong with a result, in words; nothing when it is right.
 *
 * Exact scores need the very rows and values that are expected, unless estimates that were rounded decide. Rounded scores
 * may put rows in another order, but: every value is its row's score, values descend and ties go to the lower row, no row
 * occurs twice, every row could be a candidate, and no row is missing that is surely a candidate and surely better than
 * the worst that was returned. Where fewer than k rows are allowed, no row follows them, with value -infinity.
 */
export function judge(comparison: "exact" | "rounded", plan: SoftmaxPlan, expected: Expected, found: Found): string[] {
  if (found.indices.length !== plan.k || found.values.length !== plan.k) {
    return [`${found.indices.length} results instead of ${plan.k}`];
  }
  const best = expected.best.filter((row) => row !== NO_ROW);
  const valueSlack = comparison === "exact" ? () => 0 : (row: number) => expected.exactSlack[row]!;
  const rows = Array.from(found.indices).slice(0, best.length);
  const values = Array.from(found.values).slice(0, best.length);
  const problems = [
    ...wrongRows(plan, rows),
    ...wrongValues(expected, rows, values, valueSlack),
    ...wrongOrder(plan, expected, rows, values),
    ...wrongEnd(best.length, found),
    ...wrongOptions(plan, expected, found),
  ];
  if (problems.length > 0 || rows.length === 0) return problems;
  if (comparison === "exact" && estimatesDecideAlike(plan, expected)) {
    return String(rows) === String(best) ? [] : [`rows ${rows} instead of ${best}`];
  }
  return wrongChoice(plan, expected, rows, valueSlack);
}

/** Whether places that no row takes say so. */
function wrongEnd(count: number, { indices, values }: Found): string[] {
  const places = Array.from(indices).map((row, place) => ({ place, row, value: values[place]! }));
  const wrong = places.slice(count).filter(({ row, value }) => row !== NO_ROW || value !== Number.NEGATIVE_INFINITY);
  return wrong.map(({ place, row, value }) => `place ${place} has row ${row} with value ${value}, and should be empty`);
}

function wrongRows({ rows: count }: SoftmaxPlan, rows: readonly number[]): string[] {
  const outside = rows.filter((row) => row >= count).map((row) => `row ${row} does not exist`);
  const repeated = rows.filter((row, i) => rows.indexOf(row) !== i).map((row) => `row ${row} occurs twice`);
  return [...outside, ...repeated];
}

function wrongValues(
  { exact, options: { finalOf } }: Expected,
  rows: readonly number[],
  values: readonly number[],
  slack: (row: number) => number,
): string[] {
  return rows.flatMap((row, i) => {
    const value = values[i]!;
    const { value: wanted, slack: off } = finalOf({ value: exact[row]!, slack: slack(row) });
    const near = Math.abs(value - wanted) <= off || compare(value, wanted) === 0;
    // Scores that equal 0 are returned as +0, whatever they were made of.
    return near && !Object.is(value, -0) ? [] : [`row ${row} has value ${value} instead of ${wanted}`];
  });
}

function wrongOrder(
  { temperature, transform }: SoftmaxPlan,
  { exact, options: { finalOf } }: Expected,
  rows: readonly number[],
  values: readonly number[],
): string[] {
  return rows.slice(1).flatMap((row, i) => {
    const order = compare(values[i]!, values[i + 1]!);
    // Different scores may have equal values, and those of close ones may be computed as if they were in another order.
    const off = transform ? 2 * finalOf({ value: exact[row]!, slack: 0 }).slack : 0;
    const isClose = Math.abs(values[i]! - values[i + 1]!) <= off;
    const isTie = order === 0 && (rows[i]! < row || temperature !== undefined);
    return order > 0 || isTie || isClose ? [] : [`rows ${rows[i]} and ${row} are in the wrong order`];
  });
}

/** Whether what the layer returns besides rows and values is right, given the rows. */
function wrongOptions({ logSumExp, sampler }: SoftmaxPlan, { best, options }: Expected, found: Found): string[] {
  const problems: string[] = [];
  if ((found.lse !== undefined) !== (logSumExp !== undefined)) problems.push(`the log-sum-exp is ${found.lse}`);
  if ((found.sampled !== undefined) !== (sampler !== undefined)) problems.push(`the sampled row is ${found.sampled}`);
  if (found.lse !== undefined) {
    const { lse, lseSlack } = options;
    const near = Math.abs(found.lse - lse) <= lseSlack || Object.is(found.lse, lse);
    if (!near) problems.push(`the log-sum-exp is ${found.lse} instead of ${lse}`);
  }
  if (found.sampled !== undefined) {
    const wanted = options.drawnRanks(best.filter((row) => row !== NO_ROW)).map((rank) => found.indices[rank]!);
    if (!wanted.includes(found.sampled)) problems.push(`row ${found.sampled} is sampled instead of ${wanted}`);
  }
  return problems;
}

/** What selection works from; `rows` is the number of what is selected from. */
export type Selecting = Pick<ScoredPlan, "estimator" | "candidates" | "rows" | "selection">;
export type Chosen = Omit<Expected, "best" | "exactSlack" | "options"> & {
  /** All rows are allowed where nothing is said. */
  readonly options?: Pick<ExpectedOptions, "allowed">;
};

/** Whether rounding the estimates could not change which rows are candidates: they are equal or well apart. */
export function estimatesDecideAlike({ estimator, candidates, rows }: Selecting, expected: Chosen): boolean {
  // Exact scores are their own estimates, int8 estimates are the same everywhere, and of all rows all are candidates.
  if (estimator.kind === "dense" || estimator.activations === "int8" || candidates === rows) return true;
  const order = sorted([...expected.estimates.keys()], expected.estimates);
  return order.slice(1).every((row, i) => {
    const above = order[i]!;
    const same = compare(expected.estimates[above]!, expected.estimates[row]!) === 0;
    return same || clearlyAbove(expected.estimates[above]!, expected.estimates[row]!, slackOf(expected, [above, row]));
  });
}

/**
 * Selection by rounded scores. If no score is off by more than `slack`, neither is the n-th largest of any set of them,
 * so a row above a cut by more than twice that is taken, and one below it by more than that is not.
 */
export function wrongChoice(
  plan: Selecting,
  expected: Chosen,
  rows: readonly number[],
  valueSlack: (row: number) => number,
): string[] {
  const { estimates, exact, survivors, cuts, candidates } = expected;
  const slack = slackOf(expected, estimates.keys());
  const { kind, keep, buckets } = plan.selection;
  const cut = candidates.length < plan.candidates ? Number.NEGATIVE_INFINITY : estimates[candidates.at(-1)!]!;
  const allowed = expected.options?.allowed ?? [...estimates.keys()];
  const isAllowed = new Set(allowed);
  const isAbove = (row: number, threshold: number) => clearlyAbove(estimates[row]!, threshold, slack);
  const isBelow = (row: number, threshold: number) => clearlyAbove(threshold, estimates[row]!, slack);
  const inBucket = new Map<number, number>();
  for (const row of allowed) inBucket.set(row % buckets, (inBucket.get(row % buckets) ?? 0) + 1);
  const bucketIsWhole = (row: number) =>
    kind === "statistical" ? Number.isNaN(cuts[row % buckets]!) : inBucket.get(row % buckets)! <= keep;
  const impossible = rows.filter(
    (row) => !isAllowed.has(row) || isBelow(row, cut) || (!bucketIsWhole(row) && isBelow(row, cuts[row % buckets]!)),
  );
  // A bucket of a statistical selection that is full lost rows for their place.
  const isFull = (row: number) => kind === "statistical" && survivors[row % buckets]!.length >= keep;
  const sure = allowed.filter(
    (row) =>
      !isFull(row) &&
      (plan.candidates >= allowed.length ||
        (isAbove(row, cut) && (bucketIsWhole(row) || isAbove(row, cuts[row % buckets]!)))),
  );
  const worst = rows.at(-1)!;
  const returned = new Set(rows);
  const missing = sure.filter(
    (row) => !returned.has(row) && clearlyAbove(exact[row]!, exact[worst]!, (valueSlack(row) + valueSlack(worst)) / 2),
  );
  return [
    ...impossible.map((row) => `row ${row} cannot be a candidate`),
    ...missing.map((row) => `row ${row} (${exact[row]}) is missing`),
  ];
}

function slackOf({ estimateSlack }: Pick<Expected, "estimateSlack">, rows: Iterable<number>): number {
  let most = 0;
  // Rows of NaN or infinity have no slack: they are ordered by what they are.
  for (const row of rows) if (Number.isFinite(estimateSlack[row]!)) most = Math.max(most, estimateSlack[row]!);
  return most;
}

/** Whether `a` stays above `b` when both are off by `slack`. */
function clearlyAbove(a: number, b: number, slack: number): boolean {
  if (!Number.isFinite(a) || !Number.isFinite(b)) return compare(a, b) > 0;
  return a - b > 2 * slack;
}
