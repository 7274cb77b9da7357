// How good a layer's results are, as numbers per token and what they come to. Plain data, for reports.

/** What a number per token comes to over tokens: its mean, extremes and percentiles. */
export interface Summary {
  readonly mean: number;
  readonly min: number;
  readonly p1: number;
  readonly p5: number;
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly max: number;
}

export interface Quality {
  readonly tokens: number;
  /** Share of the exact k best that are returned. */
  readonly recall: Summary;
  /** Variance of that share over tokens. */
  readonly recallVariance: number;
  /** Share of tokens whose exact best row, or group, is returned. */
  readonly agreement: number;
  /** Share of the k, and of the k′, best estimates that survive the first stage: what the plan predicts in closed form. */
  readonly survivingK: number;
  readonly survivingCandidates: number;
  /** Correlation of estimates and exact scores over all rows, mean over tokens. */
  readonly correlation: number;
  /**
   * The least of the candidates by what they were ordered by, in deviations of a token's exact scores above their mean: the
   * cut of k′; mean over tokens.
   */
  readonly cut: number;
  /**
   * Of an output head: KL divergence in nats of the exact distribution from that in which candidates have their exact values
   * and other rows their estimates (`tail: "estimate"`).
   */
  readonly divergence?: Summary;
  /** Of an output head: share of the exact probability that lies on candidates. */
  readonly mass?: Summary;
  /** Of a certified head: share of tokens that are proven. */
  readonly certified?: number;
  /** Of a certified head: by how much the k-th exact score lies above what a row that was dropped may score, per token. */
  readonly slack?: Summary;
  /**
   * Of a feed-forward: ‖output - exact output‖ / ‖exact output‖, where the exact output is that of the exact k best groups;
   * over `errorTokens` tokens.
   */
  readonly error?: Summary;
  readonly errorTokens?: number;
}

/** What is measured of each token; NaN where it is not. */
export interface TokenMeasures {
  readonly recall: Float64Array;
  readonly agreement: Float64Array;
  readonly survivingK: Float64Array;
  readonly survivingCandidates: Float64Array;
  readonly correlation: Float64Array;
  readonly cut: Float64Array;
  readonly divergence: Float64Array;
  readonly mass: Float64Array;
  readonly certified: Float64Array;
  readonly slack: Float64Array;
  readonly error: Float64Array;
}

export function emptyMeasures(tokens: number): TokenMeasures {
  const none = () => new Float64Array(tokens).fill(Number.NaN);
  return {
    ...{ recall: none(), agreement: none(), survivingK: none(), survivingCandidates: none(), correlation: none() },
    ...{ cut: none(), divergence: none(), mass: none(), certified: none(), slack: none(), error: none() },
  };
}

/** @param from, to the tokens that are meant. */
export function qualityOf(measures: TokenMeasures, from: number, to: number): Quality {
  const of = (values: Float64Array) => values.subarray(from, to).filter((value) => !Number.isNaN(value));
  const mean = (values: Float64Array) => meanOf(of(values));
  const recall = of(measures.recall);
  const [divergence, mass, certified, slack, error] = [
    of(measures.divergence),
    of(measures.mass),
    of(measures.certified),
    of(measures.slack),
    of(measures.error),
  ];
  return {
    tokens: to - from,
    recall: summaryOf(recall),
    recallVariance: varianceOf(recall),
    agreement: mean(measures.agreement),
    survivingK: mean(measures.survivingK),
    survivingCandidates: mean(measures.survivingCandidates),
    correlation: mean(measures.correlation),
    cut: mean(measures.cut),
    ...(divergence.length > 0 && { divergence: summaryOf(divergence) }),
    ...(mass.length > 0 && { mass: summaryOf(mass) }),
    ...(certified.length > 0 && { certified: meanOf(certified) }),
    ...(slack.length > 0 && { slack: summaryOf(slack) }),
    ...(error.length > 0 && { error: summaryOf(error), errorTokens: error.length }),
  };
}

export function summaryOf(values: Float64Array): Summary {
  const sorted = values.slice().sort();
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
  return {
    mean: meanOf(sorted),
    ...{ min: at(0), p1: at(0.01), p5: at(0.05), p50: at(0.5), p95: at(0.95), p99: at(0.99), max: at(1) },
  };
}

export function meanOf(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

export function varianceOf(values: Float64Array): number {
  const mean = meanOf(values);
  return meanOf(values.map((value) => (value - mean) ** 2));
}

/** Correlation of two rows of numbers; 0 where one of them does not vary. */
export function correlationOf(a: Float32Array, b: Float32Array): number {
  const count = a.length;
  let [sumA, sumB] = [0, 0];
  for (let i = 0; i < count; i++) {
    sumA += a[i]!;
    sumB += b[i]!;
  }
  const [meanA, meanB] = [sumA / count, sumB / count];
  let [squaresA, squaresB, products] = [0, 0, 0];
  for (let i = 0; i < count; i++) {
    const [x, y] = [a[i]! - meanA, b[i]! - meanB];
    squaresA += x * x;
    squaresB += y * y;
    products += x * y;
  }
  return squaresA === 0 || squaresB === 0 ? 0 : products / Math.sqrt(squaresA * squaresB);
}
