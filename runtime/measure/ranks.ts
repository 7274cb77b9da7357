// The best of many scores, and how a first stage in buckets ranks them. Ties go to the lower index; NaN orders as the largest.

/** What NaN orders as; a tie with infinity is left to the index. */
function keyOf(score: number): number {
  return Number.isNaN(score) ? Number.POSITIVE_INFINITY : score;
}

/** The `count` best, best first. @param from indices below it are left out. */
export function bestOf(scores: Float32Array, count: number, from = 0): Uint32Array {
  const size = Math.min(count, scores.length - from);
  // A heap whose root is the worst of those kept. Of equal scores the later one is worse, and comes later.
  const heap = new Uint32Array(size);
  const isWorse = (a: number, b: number) => {
    const [x, y] = [keyOf(scores[a]!), keyOf(scores[b]!)];
    return x < y || (x === y && a > b);
  };
  const sink = (start: number, length: number) => {
    let at = start;
    for (;;) {
      let worst = at;
      for (const child of [2 * at + 1, 2 * at + 2]) {
        if (child < length && isWorse(heap[child]!, heap[worst]!)) worst = child;
      }
      if (worst === at) return;
      [heap[at], heap[worst]] = [heap[worst]!, heap[at]!];
      at = worst;
    }
  };
  for (let i = 0; i < size; i++) heap[i] = from + i;
  for (let i = size >> 1; i-- > 0; ) sink(i, size);
  if (size === 0) return heap;
  let limit = keyOf(scores[heap[0]!]!);
  for (let i = from + size; i < scores.length; i++) {
    const score = scores[i]!;
    // Also true for NaN.
    if (score <= limit) continue;
    if (!(keyOf(score) > limit)) continue;
    heap[0] = i;
    sink(0, size);
    limit = keyOf(scores[heap[0]!]!);
  }
  for (let end = size - 1; end > 0; end--) {
    [heap[0], heap[end]] = [heap[end]!, heap[0]!];
    sink(0, end);
  }
  return heap;
}

/** What of one token's choices can survive a first stage, best first. */
export interface RankedChoices {
  readonly choices: Uint32Array;
  /** How many of the choice's own bucket are better; `depth` where it is not known, because it is at least as many. */
  readonly places: Uint8Array;
}

export interface RankingShape {
  readonly buckets: number;
  /** No first stage that is asked for keeps more of a bucket; at most 255. */
  readonly depth: number;
  /** No more candidates are asked for, of all choices or of those that survive. */
  readonly count: number;
}

/**
 * @param scores of the choices; choice `c` belongs to bucket `(c - from) mod buckets`.
 * @param from choices below it are common, and not selected from.
 */
export function rankChoices(scores: Float32Array, { buckets, depth, count }: RankingShape, from = 0): RankedChoices {
  const kept = new Uint32Array(buckets * depth);
  const sizes = new Uint8Array(buckets);
  for (
    let choice = from, bucket = 0;
    choice < scores.length;
    choice++, bucket = bucket + 1 === buckets ? 0 : bucket + 1
  ) {
    const first = bucket * depth;
    const key = keyOf(scores[choice]!);
    let at = sizes[bucket]!;
    if (at === depth) {
      if (!(key > keyOf(scores[kept[first + depth - 1]!]!))) continue;
      at--;
    } else sizes[bucket] = at + 1;
    for (; at > 0 && key > keyOf(scores[kept[first + at - 1]!]!); at--) kept[first + at] = kept[first + at - 1]!;
    kept[first + at] = choice;
  }
  const places = new Map<number, number>();
  for (const choice of bestOf(scores, count, from)) places.set(choice, depth);
  sizes.forEach((size, bucket) => {
    for (let place = 0; place < size; place++) places.set(kept[bucket * depth + place]!, place);
  });
  const choices = Uint32Array.from(places.keys()).sort((a, b) => keyOf(scores[b]!) - keyOf(scores[a]!) || a - b || 0);
  return { choices, places: Uint8Array.from(choices, (choice) => places.get(choice)!) };
}

/** The best `count` of those that survive when every bucket keeps `keep`, best first. @param keep Infinity drops none. */
export function candidatesOf({ choices, places }: RankedChoices, keep: number, count: number): Uint32Array {
  const candidates = new Uint32Array(Math.min(count, choices.length));
  let found = 0;
  for (let i = 0; i < choices.length && found < count; i++) {
    if (places[i]! < keep) candidates[found++] = choices[i]!;
  }
  return candidates.subarray(0, found);
}
