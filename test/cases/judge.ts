// Whether a backend's result for one token is right.

import type { ScoredPlan, SoftmaxPlan } from "../../runtime/plan.ts";
import { compare, type Expected, sorted } from "./oracle.ts";

/** A backend's result for one token: `k` rows and their values. */
export interface Found {
  readonly indices: ArrayLike<number>;
  readonly values: ArrayLike<number>;
}

/**
 * What is wrong with a result, in words; nothing when it is right.
 *
 * Exact scores need the very rows and values that are expected, unless estimates that were rounded decide. Rounded scores
 * may put rows in another order, but: every value is its row's score, values descend and ties go to the lower row, no row
 * occurs twice, every row could be a candidate, and no row is missing that is surely a candidate and surely better than
 * the worst that was returned.
 */
export function judge(
  comparison: "exact" | "rounded",
  plan: SoftmaxPlan,
  expected: Expected,
  { indices, values }: Found,
): string[] {
  if (indices.length !== plan.k || values.length !== plan.k) return [`${indices.length} results instead of ${plan.k}`];
  const valueSlack = comparison === "exact" ? () => 0 : (row: number) => expected.exactSlack[row]!;
  const rows = Array.from(indices);
  const problems = [
    ...wrongRows(plan, rows),
    ...wrongValues(expected, rows, Array.from(values), valueSlack),
    ...wrongOrder(rows, Array.from(values)),
  ];
  if (problems.length > 0) return problems;
  if (comparison === "exact" && estimatesDecideAlike(plan, expected)) {
    return String(rows) === String(expected.best) ? [] : [`rows ${rows} instead of ${expected.best}`];
  }
  return wrongChoice(plan, expected, rows, valueSlack);
}

function wrongRows({ rows: count }: SoftmaxPlan, rows: readonly number[]): string[] {
  const outside = rows.filter((row) => row >= count).map((row) => `row ${row} does not exist`);
  const repeated = rows.filter((row, i) => rows.indexOf(row) !== i).map((row) => `row ${row} occurs twice`);
  return [...outside, ...repeated];
}

function wrongValues(
  { exact }: Expected,
  rows: readonly number[],
  values: readonly number[],
  slack: (row: number) => number,
): string[] {
  return rows.flatMap((row, i) => {
    const [value, wanted] = [values[i]!, exact[row]!];
    const near = Math.abs(value - wanted) <= slack(row) || compare(value, wanted) === 0;
    // Scores that equal 0 are returned as +0, whatever they were made of.
    return near && !Object.is(value, -0) ? [] : [`row ${row} has value ${value} instead of ${wanted}`];
  });
}

function wrongOrder(rows: readonly number[], values: readonly number[]): string[] {
  return rows.slice(1).flatMap((row, i) => {
    const order = compare(values[i]!, values[i + 1]!);
    return order > 0 || (order === 0 && rows[i]! < row) ? [] : [`rows ${rows[i]} and ${row} are in the wrong order`];
  });
}

/** What selection works from; `rows` is the number of what is selected from. */
export type Selecting = Pick<ScoredPlan, "estimator" | "candidates" | "rows" | "selection">;
export type Chosen = Omit<Expected, "best" | "exactSlack">;

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
  const { estimates, exact, survivors, candidates } = expected;
  const slack = slackOf(expected, estimates.keys());
  const { keep, buckets } = plan.selection;
  const cuts = survivors.map((kept) => (kept.length < keep ? Number.NaN : estimates[kept.at(-1)!]!));
  const cut = estimates[candidates.at(-1)!]!;
  const all = [...estimates.keys()];
  const isAbove = (row: number, threshold: number) => clearlyAbove(estimates[row]!, threshold, slack);
  const isBelow = (row: number, threshold: number) => clearlyAbove(threshold, estimates[row]!, slack);
  const bucketIsWhole = (row: number) => Math.ceil((plan.rows - (row % buckets)) / buckets) <= keep;
  const impossible = rows.filter(
    (row) => isBelow(row, cut) || (!bucketIsWhole(row) && isBelow(row, cuts[row % buckets]!)),
  );
  const sure = all.filter(
    (row) =>
      plan.candidates === plan.rows ||
      (isAbove(row, cut) && (bucketIsWhole(row) || isAbove(row, cuts[row % buckets]!))),
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
