// What a case's feed-forward means, computed from the matrices as they were before packing and from the functions as they
// were written, and whether a backend's result is right.

import { NO_ROW } from "../../runtime/layer.ts";
import type { FfnPlan } from "../../runtime/plan.ts";
import type { FfnCase, FfnData } from "./ffn-case.ts";
import { type Chosen, estimatesDecideAlike, type Selecting, wrongChoice } from "./judge.ts";
import { type Near, through } from "./near.ts";
import { compare, dot, estimatesOf, firstStage, roundingOf, sorted } from "./oracle.ts";

/** Everything about one token. Arrays are over the groups that are selected from: index 0 is the first that is not common. */
export interface ExpectedFfn extends Chosen {
  readonly exactSlack: Float64Array;
  /** The groups, by their own numbers, that follow when scores are taken for the truth. */
  readonly best: readonly number[];
  /** What comes out when these groups are computed besides the common ones. */
  outputOf(groups: readonly number[]): readonly Near[];
}

export function ffnOracle(
  { layer }: FfnCase,
  plan: FfnPlan,
  { gate, up, down, biases }: FfnData,
): (x: Float32Array) => ExpectedFfn {
  const { rows, inputs, outputs, group, selection, estimator } = plan;
  const rowsOf = (values: Float32Array, columns: number) =>
    Array.from({ length: values.length / columns }, (_, row) => values.subarray(row * columns, (row + 1) * columns));
  const scoredRows = rowsOf((gate ?? up).values, inputs);
  const upRows = rowsOf(up.values, inputs);
  const allNeurons = scoredRows.map((_, row) => row);
  const neurons = (index: number) => allNeurons.slice(index * group.size, (index + 1) * group.size);
  const estimateRows = estimatesOf(plan, scoredRows);
  const score = groupScore(layer.group?.score ?? "max");
  const groupNumbers = Array.from({ length: group.count - group.common }, (_, i) => group.common + i);
  const integers = estimator.kind !== "dense" && estimator.activations === "int8";

  return (x) => {
    const preActivations = scoredRows.map((row, i) => near(row, x, biases.bias?.values[i]));
    const ofGroups = groupNumbers.map((index) => score(neurons(index).map((row) => preActivations[row]!)));
    const exact = Float64Array.from(ofGroups, ({ value }) => value);
    const exactSlack = Float64Array.from(ofGroups, ({ slack }) => slack);
    let [estimates, estimateSlack] = [exact, exactSlack];
    if (estimateRows) {
      const ofRows = estimateRows(x);
      const { tokenScale } = ofRows;
      const estimated = (row: number) => {
        const value = ofRows.estimates[row]!;
        const added = biases.bias?.values[row];
        const isScaled = tokenScale !== undefined && (added !== undefined || typeof layer.group?.score === "function");
        const scaled = isScaled ? Math.fround(value * tokenScale) : value;
        if (added === undefined) return scaled;
        return integers ? Math.fround(scaled + added) : scaled + added;
      };
      const add = integers ? groupScore(layer.group?.score ?? "max", Math.fround) : score;
      const scored = groupNumbers.map((index) =>
        add(
          neurons(index).map((row) => ({
            value: estimated(row),
            slack: ofRows.estimateSlack[row]! + 2 ** -23 * Math.abs(estimated(row)),
          })),
        ),
      );
      estimates = Float64Array.from(scored, ({ value }) => value);
      estimateSlack = Float64Array.from(scored, ({ slack }) => (integers ? 0 : slack));
    }
    const { survivors, cuts } = firstStage(
      selection,
      groupNumbers.map((_, i) => i),
      estimates,
    );
    const candidates = sorted(survivors.flat(), estimates).slice(0, plan.candidates);
    const best = sorted(candidates, exact)
      .slice(0, plan.k)
      .map((i) => i + group.common);

    const outputOf = (groups: readonly number[]): Near[] => {
      const computed = [...Array.from({ length: group.common }, (_, i) => i), ...groups].flatMap(neurons);
      const hidden = computed.map((row) => {
        const active = through(layer.activation, preActivations[row]!);
        // What is zero adds nothing, whatever it would be multiplied with.
        return gate && active.value !== 0 ? times(active, near(upRows[row]!, x, biases.up_bias?.values[row])) : active;
      });
      return Array.from({ length: outputs }, (_, output) => {
        const start = biases.down_bias?.values[output] ?? 0;
        let [value, slack, magnitude] = [start, 0, Math.abs(start)];
        computed.forEach((row, i) => {
          const weight = down.values[output * rows + row]!;
          if (hidden[i]!.value !== 0) value += hidden[i]!.value * weight;
          slack += hidden[i]!.slack * Math.abs(weight);
          magnitude += Math.abs(hidden[i]!.value * weight) + hidden[i]!.slack * Math.abs(weight);
        });
        return { value, slack: slack + roundingOf(computed.length + 1, magnitude) + 2 ** -126 };
      });
    };
    return { exact, exactSlack, estimates, estimateSlack, survivors, cuts, candidates, best, outputOf };
  };
}

/**
 * What is wrong with a result for one token, in words; nothing when it is right. Other groups than expected are right
 * where rounding may have decided, but what was computed of them has to be right in any case.
 */
export function judgeFfn(
  comparison: FfnCase["comparison"],
  plan: FfnPlan,
  expected: ExpectedFfn,
  { output, groups }: { readonly output: ArrayLike<number>; readonly groups: ArrayLike<number> },
): string[] {
  const { common, count } = plan.group;
  const places = Array.from(groups);
  const chosen = places.filter((index) => index !== NO_ROW);
  const problems = [
    ...(places.length === plan.k ? [] : [`${places.length} groups instead of ${plan.k}`]),
    ...(chosen.length === expected.best.length
      ? []
      : [`${chosen.length} groups were found, not ${expected.best.length}`]),
    ...(places.slice(chosen.length).every((index) => index === NO_ROW) ? [] : ["an empty place comes first"]),
    ...chosen.filter((index) => !(index >= common && index < count)).map((index) => `group ${index} is not selectable`),
    ...chosen.filter((index, i) => chosen.indexOf(index) !== i).map((index) => `group ${index} occurs twice`),
  ];
  if (problems.length > 0) return problems;

  const selecting: Selecting = { ...plan, rows: count - common };
  if (comparison === "exact" && estimatesDecideAlike(selecting, expected)) {
    if (String(chosen) !== String(expected.best)) problems.push(`groups ${chosen} instead of ${expected.best}`);
  } else {
    const slack = (row: number) => expected.exactSlack[row]!;
    problems.push(
      ...wrongChoice(
        selecting,
        expected,
        chosen.map((index) => index - common),
        slack,
      ),
    );
  }
  expected.outputOf(chosen).forEach(({ value, slack }, i) => {
    const allowed = comparison === "exact" ? 0 : slack;
    const isRight = Math.abs(output[i]! - value) <= allowed || compare(output[i]!, value) === 0;
    if (!isRight) problems.push(`output ${i} is ${output[i]} instead of ${value}`);
  });
  return problems;
}

function near(row: Float32Array, x: Float32Array, bias = 0): Near {
  const { sum, magnitude, tiny } = dot(row, x);
  return { value: sum + bias, slack: roundingOf(x.length + 1, magnitude + Math.abs(bias)) + tiny };
}

function groupScore(
  score: "max" | "sum" | "l2" | ((z: number) => number),
  round: (value: number) => number = Number,
): (scores: readonly Near[]) => Near {
  if (score === "max") {
    return (scores) => ({
      value: scores.reduce((most, { value }) => (compare(value, most) > 0 ? value : most), Number.NEGATIVE_INFINITY),
      slack: Math.max(...scores.map(({ slack }) => slack)),
    });
  }
  const term = score === "sum" ? (z: number) => z : score === "l2" ? (z: number) => z * z : score;
  return (scores) => {
    let [value, slack, magnitude] = [0, 0, 0];
    for (const each of scores) {
      const part = through(term, each);
      value = round(value + round(part.value));
      slack += part.slack;
      magnitude += Math.abs(part.value);
    }
    return { value, slack: slack + roundingOf(scores.length + 2, magnitude) };
  };
}

function times(a: Near, b: Near): Near {
  const value = a.value * b.value;
  const slack = Math.abs(a.value) * b.slack + Math.abs(b.value) * a.slack + a.slack * b.slack;
  return { value, slack: slack + 2 ** -23 * Math.abs(value) };
}
