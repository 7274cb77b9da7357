// How good a compiled head is on true inputs: against the exact top k, and against what the plan predicts.

import type { ReferenceSoftmax, SoftmaxResult } from "hirec/runtime";
import type { Embedding } from "./decoder.ts";

export interface HeadQuality {
  /** Share of the exact k best rows that the head returned. */
  readonly recall: number;
  /** Share of positions where the head's best row is the exact best row. */
  readonly agreement: number;
  /** Share of the rows with the k′ best estimates, and with the k best, that survive the first stage. */
  readonly survivingCandidates: number;
  readonly survivingK: number;
}

/**
 * @param exact the weights of the exact head, independent of anything that hirec packed.
 * @param x the head's inputs, f32 `[positions, inputs]`.
 * @param result what the head under test returned for them.
 * @param selectionPositions positions on which the first stage is measured; the reference takes its time.
 */
export function measureHead(
  exact: Embedding,
  reference: ReferenceSoftmax,
  x: Float32Array,
  result: SoftmaxResult,
  selectionPositions: number,
): HeadQuality {
  const { inputs, k, candidates } = reference.plan;
  const positions = x.length / inputs;
  const token = (position: number) => x.subarray(position * inputs, (position + 1) * inputs);
  let found = 0;
  let agreed = 0;
  for (let position = 0; position < positions; position++) {
    const returned = result.indices.subarray(position * k, (position + 1) * k);
    const best = bestRows(exactScores(exact, token(position)), k);
    found += share(best, new Set(returned));
    if (best[0] === returned[0]) agreed++;
  }
  const measured = Math.min(positions, selectionPositions);
  let survivingCandidates = 0;
  let survivingK = 0;
  for (let position = 0; position < measured; position++) {
    const { estimates, survivors } = reference.select(token(position));
    const best = bestRows(estimates, candidates);
    const surviving = new Set(survivors);
    survivingCandidates += share(best, surviving);
    survivingK += share(best.slice(0, k), surviving);
  }
  return {
    recall: found / positions,
    agreement: agreed / positions,
    survivingCandidates: survivingCandidates / measured,
    survivingK: survivingK / measured,
  };
}

/** The scores of every row in float64. */
function exactScores({ rows, inputs, data }: Embedding, x: Float32Array): Float64Array {
  return Float64Array.from({ length: rows }, (_, row) => {
    let sum = 0;
    for (let i = 0, at = row * inputs; i < inputs; i++) sum += data[at + i]! * x[i]!;
    return sum;
  });
}

function share(wanted: readonly number[], found: ReadonlySet<number>): number {
  return wanted.filter((row) => found.has(row)).length / wanted.length;
}

/** The `count` rows of largest score, best first, ties to the lower row. */
function bestRows(scores: Float64Array, count: number): number[] {
  return Array.from(scores.keys())
    .sort((a, b) => scores[b]! - scores[a]! || a - b)
    .slice(0, count);
}
