// What is lost, and how often a second round is needed, when the rows of a layer lie on several shards (DA-TOP-k).
// Row r lies on shard r mod count, and the best rows lie at random: a shard is a bucket of recall.ts, so the share of
// the best rows that survives a local selection is the closed form there. Exact exchange asks for more: that no shard
// had more to say.

import type { Buckets } from "./recall.ts";

/**
 * Probability that a second round is needed when every shard sends its `sent` (at least 1) best rows: some shard holds
 * `sent` or more of the k best, so that its last sent row may not be the last of them. A shard never sends again what
 * it does not have, nor more than k rows.
 */
export function resendOdds({ rows, count }: Buckets, k: number, sent: number): number {
  const size = Math.floor(rows / count);
  if (sent >= Math.min(k, Math.ceil(rows / count))) return 0;
  // How the best rows fall on shards is multivariate hypergeometric, which is independent binomials given their sum,
  // whatever their common odds. These make k the likely sum, so that nothing that counts is small.
  const odds = k / (rows - k + 1);
  const larger = rows % count;
  const all = join(
    power(heldBy(size + 1, k, odds, sent), larger, k),
    power(heldBy(size, k, odds, sent), count - larger, k),
    k,
  );
  const resends = all.over[k] ?? 0;
  return resends / (resends + (all.under[k] ?? 0));
}

/** The smallest number of rows to send from each shard for a second round at most as often as `target`. */
export function smallestSent(shards: Buckets, k: number, target: number): number {
  let low = 1;
  let high = Math.min(k, Math.ceil(shards.rows / shards.count));
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (resendOdds(shards, k, middle) <= target) high = middle;
    else low = middle + 1;
  }
  return low;
}

/**
 * Probabilities that some shards hold r of the best rows together, by r: `under` if none has to send again, `over` if
 * any has. They are kept apart because the difference of their sum from 1 would round small odds away; all terms are
 * positive, so these are right to about 13 digits however small they are.
 */
interface Held {
  readonly under: Float64Array;
  readonly over: Float64Array;
}

/** One shard, of `size` rows, of which each is one of the best at the given odds. */
function heldBy(size: number, k: number, odds: number, sent: number): Held {
  const most = Math.min(size, k);
  const weights = new Float64Array(most + 1);
  const ratio = (r: number) => (odds * (size - r)) / (r + 1);
  // From the likeliest number outwards, because the probability of 0 may be smaller than any float64.
  const likeliest = Math.min(most, Math.floor(((size + 1) * odds) / (1 + odds)));
  weights[likeliest] = 1;
  for (let r = likeliest; r < most; r++) weights[r + 1] = weights[r]! * ratio(r);
  for (let r = likeliest; r > 0; r--) weights[r - 1] = weights[r]! / ratio(r - 1);
  const sum = weights.reduce((total, weight) => total + weight, 0);
  const resends = (r: number) => r >= sent && size > sent;
  return {
    under: weights.map((weight, r) => (resends(r) ? 0 : weight / sum)),
    over: weights.map((weight, r) => (resends(r) ? weight / sum : 0)),
  };
}

/** `count` shards alike, by repeated squaring. */
function power(shard: Held, count: number, k: number): Held {
  let result: Held = { under: new Float64Array([1]), over: new Float64Array([0]) };
  let square = shard;
  for (let rest = count; rest > 0; rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) result = join(result, square, k);
    if (rest > 1) square = join(square, square, k);
  }
  return result;
}

/** Two groups of shards as one. */
function join(a: Held, b: Held, k: number): Held {
  const length = Math.min(k, a.under.length + b.under.length - 2) + 1;
  const under = new Float64Array(length);
  const over = new Float64Array(length);
  a.under.forEach((underA, i) => {
    const overA = a.over[i]!;
    if (underA === 0 && overA === 0) return;
    for (let j = 0; i + j < length && j < b.under.length; j++) {
      under[i + j]! += underA * b.under[j]!;
      over[i + j]! += overA * (b.under[j]! + b.over[j]!) + underA * b.over[j]!;
    }
  });
  return { under, over };
}
