// How scores are spread: exact ones, and what the estimator orders by, with the cuts of k and k′.

import type { Histogram } from "../../../runtime/measure/spread.ts";
import { COLOR, type Plot } from "../plot.ts";

export interface ScoresInput {
  readonly layer: string;
  readonly exact: Histogram;
  /** In the same bins. */
  readonly estimates: readonly number[];
  /** Tokens that were counted. */
  readonly tokens: number;
  readonly k: number;
  readonly candidates: number;
  /** The k-th exact score and the last candidate, in the unit of the bins. */
  readonly kth: number;
  readonly cut: number;
  /** `rows` or `groups`. */
  readonly choices: string;
  readonly isBound: boolean;
}

/** Where scores do not vary there is nothing to draw. */
export function hasSpread({ from, to }: Histogram): boolean {
  return to > from;
}

/** What rows or groups are ordered by, in words. */
export function orderedBy({ isBound }: Pick<ScoresInput, "isBound">): string {
  return isBound ? "upper bounds" : "estimates";
}

export function scoresPlot(input: ScoresInput): Plot {
  const { layer, exact, estimates, tokens, k, candidates, kth, cut, choices } = input;
  const { from, to, counts } = exact;
  const width = (to - from) / counts.length;
  // What lies below is not one score of all tokens.
  const least = 0.5 / tokens;
  const bins = counts.map((count, i) => ({
    ...{ start: from + i * width, least },
    exact: Math.max(least, count / tokens),
    estimate: Math.max(least, estimates[i]! / tokens),
  }));
  const last = { ...bins.at(-1)!, start: to };
  const most = Math.max(...bins.flatMap((bin) => [bin.exact, bin.estimate]));
  const y = {
    type: "quantitative",
    scale: { type: "log", domain: [least, most * 3] as number[], nice: false },
    axis: { title: `${choices} per token`, format: "~g", tickCount: 4 },
  } as const;
  const x = (field: string) =>
    ({
      field,
      type: "quantitative",
      scale: { domain: [from, to] as number[], nice: false, zero: false },
      axis: { title: "score, in deviations above the token's mean", grid: false, tickCount: 6 },
    }) as const;
  const isLeft = cut <= kth;
  const cuts = [
    { at: kth, color: COLOR.exact, dash: [1, 0], text: `k = ${k}`, left: !isLeft },
    { at: cut, color: COLOR.estimate, dash: [5, 3], text: `k′ = ${candidates}`, left: isLeft },
  ];
  return {
    title: `Scores of layer ${layer}, exact and estimated`,
    description: `On average the k-th exact score lies ${kth.toFixed(2)} deviations above the mean, and the last candidate by ${orderedBy(input)} ${cut.toFixed(2)}.`,
    spec: {
      ...{ width: 300, height: 200 },
      layer: [
        {
          data: { values: [...bins, last] },
          mark: { type: "area", interpolate: "step-after", color: COLOR.exact, opacity: 0.3 },
          encoding: { x: x("start"), y: { field: "exact", ...y }, y2: { field: "least" } },
        },
        {
          data: { values: [...bins, last] },
          mark: { type: "line", interpolate: "step-after", color: COLOR.estimate, strokeWidth: 1.5 },
          encoding: { x: x("start"), y: { field: "estimate", ...y } },
        },
        ...cuts.flatMap(({ at, color, dash, text, left }) => [
          {
            data: { values: [{ at }] },
            mark: { type: "rule" as const, color, strokeDash: dash, strokeWidth: 2 },
            encoding: { x: x("at") },
          },
          {
            data: { values: [{ at, text }] },
            mark: {
              type: "text" as const,
              align: left ? ("right" as const) : ("left" as const),
              dx: left ? -5 : 5,
              dy: 8,
              color,
              fontWeight: 600 as const,
            },
            encoding: { x: x("at"), y: { value: 0 }, text: { field: "text" } },
          },
        ]),
      ],
    },
  };
}
