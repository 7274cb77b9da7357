// What settings of one estimator make of a layer: which candidates they choose, and how good the results are. Settings that
// share an estimator share its scores, so that another k′ or another first stage costs next to nothing.

import type { LayerPlan } from "../plan.ts";
import { boundOf, isAbove, upperScore } from "../reference/certificate.ts";
import { survivorsOf } from "../reference/survivors.ts";
import { deviationsOf } from "./deviations.ts";
import { addGroups, type ExactLayer, groupScorer, logSumExp, squaresOf, tokenOf, valueFunction } from "./exact.ts";
import { correlationOf, emptyMeasures, type TokenMeasures } from "./quality.ts";
import { bestOf, candidatesOf, type RankedChoices, rankChoices } from "./ranks.ts";
import type { EstimatedScores } from "./scores.ts";

/**
 * @param plans that differ in candidates and selection alone.
 * @param x the tokens, `[tokens, inputs]`.
 * @returns what was measured, plan by plan.
 */
export function measureSettings(
  exact: ExactLayer,
  estimated: EstimatedScores,
  plans: readonly LayerPlan[],
  x: Float32Array,
): TokenMeasures[] {
  const measures = plans.map(() => emptyMeasures(exact.tokens));
  const { choices, common, best } = exact;
  const estimate = tokenEstimates(exact, estimated, plans[0]!);
  const shapes = groupByBuckets(plans);
  for (let token = 0; token < exact.tokens; token++) {
    const { rows, order, unit } = estimate(token);
    const deviate = deviationsOf(tokenOf(exact.scores, token, choices).subarray(common));
    const exactRows = tokenOf(exact.rows, token, exact.plan.rows);
    const correlation = correlationOf(rows, exactRows);
    const tail = exact.logSums && tailOf(exact, token, rows);
    for (const { shape, members } of shapes) {
      const ranked = rankChoices(order, shape, common);
      for (const index of members) {
        const plan = plans[index]!;
        const into = measures[index]!;
        const survivors = survivingOf(plan, order, ranked, choices, common);
        const candidates = survivors(plan.candidates);
        const isCandidate = new Set(candidates);
        const wanted = best[token]!;
        into.recall[token] = shareOf(wanted, isCandidate);
        into.agreement[token] = Number(isCandidate.has(wanted[0]!));
        const bestEstimates = candidatesOf(ranked, Number.POSITIVE_INFINITY, plan.candidates);
        into.survivingCandidates[token] = shareOf(bestEstimates, isCandidate);
        into.survivingK[token] = shareOf(bestEstimates.subarray(0, plan.k), isCandidate);
        into.correlation[token] = correlation;
        into.cut[token] = deviate((order[candidates.at(-1)!] ?? Number.NaN) * unit);
        if (tail) [into.divergence[token], into.mass[token]] = tail(candidates);
        if (plan.certificate) {
          const dropped = droppedBy(plan, order, ranked, candidates.length);
          const scores = Float32Array.from(candidates, (row) => exactRows[row]!);
          const last = bestOf(scores, plan.k).at(-1);
          const value = scores.length < plan.k ? Number.NEGATIVE_INFINITY : scores[last!]!;
          into.certified[token] = Number(isAbove(value, boundOf(plan, tokenOf(x, token, plan.inputs), dropped)));
          if (dropped !== undefined) into.slack[token] = value - dropped * unit;
        }
        if (exact.neurons) into.error[token] = errorOf(exact, token, candidates);
      }
    }
  }
  return measures;
}

/** What of the exact layer its estimates need. */
type EstimatedLayer = Pick<ExactLayer, "choices" | "bias">;

/**
 * Estimates of a token's rows, and what its choices are ordered by, and in which unit; both arrays are used again for the
 * next token.
 */
export function tokenEstimates(
  exact: EstimatedLayer,
  { sums, rowScales, bounds, copy }: EstimatedScores,
  plan: LayerPlan,
) {
  const { rows: count, group } = plan;
  const rows = new Float32Array(count);
  const upper = bounds && new Float32Array(count);
  const choices = group ? new Float32Array(exact.choices) : rows;
  const score = group && groupScorer(group, count);
  return (token: number): { readonly rows: Float32Array; readonly order: Float32Array; readonly unit: number } => {
    const own = tokenOf(sums, token, count);
    const unit = copy.units[token]!;
    for (let row = 0; row < count; row++) {
      rows[row] = Math.fround(own[row]! * rowScales[row]!) * unit + (exact.bias?.[row] ?? 0);
    }
    if (upper && bounds) {
      const norms = copy.norms![token]!;
      for (let row = 0; row < count; row++) {
        const bound = { error: bounds[row * 2]!, norm: bounds[row * 2 + 1]! };
        upper[row] = upperScore(plan, own[row]!, bound, norms, rowScales[row]!);
      }
      // Upper scores count steps of the token's codes.
      return { rows, order: upper, unit };
    }
    score?.(rows, choices);
    return { rows, order: choices, unit: 1 };
  };
}

/** Plans by their number of buckets, with what one ranking must hold for all of them. */
function groupByBuckets(plans: readonly LayerPlan[]) {
  const members = new Map<number, number[]>();
  plans.forEach(({ selection: { buckets } }, i) => void members.set(buckets, [...(members.get(buckets) ?? []), i]));
  return [...members].map(([buckets, indices]) => {
    const keeps = indices.map((i) => plans[i]!.selection).filter(({ kind }) => kind === "twoStage");
    const depth = Math.min(255, Math.max(1, ...keeps.map(({ keep }) => keep)));
    // One more than the candidates is what a certificate looks at.
    const count = Math.max(...indices.map((i) => plans[i]!.candidates)) + 1;
    return { shape: { buckets, depth, count }, members: indices };
  });
}

function survivingOf(
  { selection }: LayerPlan,
  order: Float32Array,
  ranked: RankedChoices,
  choices: number,
  common: number,
): (count: number) => Uint32Array {
  if (selection.kind !== "statistical") return (count) => candidatesOf(ranked, keepOf(selection), count);
  const scores = Float64Array.from(order);
  const survivors: number[] = [];
  for (let bucket = 0; bucket < selection.buckets; bucket++) {
    const inBucket: number[] = [];
    for (let choice = common + bucket; choice < choices; choice += selection.buckets) inBucket.push(choice);
    survivors.push(...survivorsOf(selection, inBucket, scores));
  }
  const own = Uint32Array.from(survivors).sort();
  const values = Float32Array.from(own, (choice) => order[choice]!);
  return (count) => bestOf(values, count).map((i) => own[i]!);
}

/** An exact selection keeps of a bucket as many as there are candidates, so that its cut is never met. */
function keepOf({ kind, keep }: LayerPlan["selection"]): number {
  return kind === "exact" ? Number.POSITIVE_INFINITY : keep;
}

/** The largest upper score that is no candidate's, as far as kernels know it; undefined where all rows are candidates. */
function droppedBy(
  { selection, rows }: LayerPlan,
  order: Float32Array,
  ranked: RankedChoices,
  candidates: number,
): number | undefined {
  const keep = keepOf(selection);
  const next = candidatesOf(ranked, keep, candidates + 1)[candidates];
  const dropped = next === undefined ? undefined : order[next];
  if (keep >= Math.ceil(rows / selection.buckets)) return dropped;
  // The last row that a bucket keeps stands for all that the bucket drops.
  for (let i = 0; i < ranked.choices.length; i++) {
    if (ranked.places[i] !== keep - 1) continue;
    const last = order[ranked.choices[i]!]!;
    return dropped === undefined || !(dropped >= last) ? last : dropped;
  }
  return dropped;
}

function shareOf(wanted: Uint32Array, found: ReadonlySet<number>): number {
  let count = 0;
  for (const each of wanted) if (found.has(each)) count++;
  return count / wanted.length;
}

/**
 * A function from candidates to the KL divergence of the exact distribution from theirs, and to the share of the exact
 * probability that they have. Sums over all rows are made once; candidates change only their own terms.
 */
function tailOf({ plan, rows, logSums }: ExactLayer, token: number, estimates: Float32Array) {
  if (plan.kind !== "softmax") throw new Error("only an output head has a distribution");
  const function_ = valueFunction(plan);
  const own = tokenOf(rows, token, plan.rows);
  const values = function_ ? own.map(function_) : own;
  const guesses = function_ ? estimates.map(function_) : estimates;
  const logSum = logSums![token]!;
  const logSumOfGuesses = logSumExp(guesses);
  const chance = (row: number) => Math.exp(values[row]! - logSum);
  let apart = 0;
  for (let row = 0; row < values.length; row++) {
    const below = values[row]! - logSum;
    if (below > -60) apart += Math.exp(below) * (values[row]! - guesses[row]!);
  }
  return (candidates: Uint32Array): [divergence: number, mass: number] => {
    let mass = 0;
    let difference = apart;
    // Relative to the sum over all guesses.
    let sum = 1;
    for (const row of candidates) {
      const share = chance(row);
      mass += share;
      difference -= share * (values[row]! - guesses[row]!);
      sum += Math.exp(values[row]! - logSumOfGuesses) - Math.exp(guesses[row]! - logSumOfGuesses);
    }
    const logSumOfAll = logSumOfGuesses + Math.log(Math.max(sum, Number.MIN_VALUE));
    return [Math.max(0, difference + logSumOfAll - logSum), Math.min(1, mass)];
  };
}

/** ‖output - exact output‖ / ‖exact output‖ of a token; NaN where it is not measured. */
function errorOf({ plan, neurons, scores, choices, best }: ExactLayer, token: number, candidates: Uint32Array): number {
  const squares = neurons!.squares[token]!;
  if (Number.isNaN(squares) || plan.kind !== "ffn") return Number.NaN;
  const exact = tokenOf(scores, token, choices);
  const own = candidates.slice().sort();
  const returned = new Set(
    bestOf(
      Float32Array.from(own, (group) => exact[group]!),
      plan.k,
    ).map((i) => own[i]!),
  );
  const wanted = new Set(best[token]!);
  const difference = new Float64Array(plan.outputs);
  const onlyIn = (a: Set<number>, b: Set<number>) => [...a].filter((group) => !b.has(group));
  addGroups(plan, neurons!, token, onlyIn(returned, wanted), 1, difference);
  addGroups(plan, neurons!, token, onlyIn(wanted, returned), -1, difference);
  return squares === 0 ? 0 : Math.sqrt(squaresOf(difference) / squares);
}
