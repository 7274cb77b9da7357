// An evaluation as people read it.

import type { Summary } from "../../../runtime/measure/quality.ts";
import type { EvaluationSummary, LayerEvaluation } from "../../../runtime/node/evaluate-file.ts";

export function formatEvaluation(model: string, { device, profile, layers }: EvaluationSummary): string {
  const where = profile === undefined ? device : `${device}, profile ${profile}`;
  return [`${model} on ${where}`, ...layers.map(formatLayer)].join("\n\n");
}

function formatLayer(evaluated: LayerEvaluation): string {
  const { layer, tokens, k, candidates, recall, agreement, certified, estimates, valueError } = evaluated;
  const share = (value: number) => `${(100 * value).toFixed(2)} %`;
  const small = (value: number) => value.toPrecision(3);
  // Of recall the few worst tokens matter, of errors the few largest.
  const rows = [
    ["", "mean", "median", "worst 5 %", "worst 1 %", "worst"],
    spread("recall", recall, ({ p5, p1, min }) => [p5, p1, min], share),
    ...(["divergence", "unavoidable", "error"] as const).flatMap((name) => {
      const summary = evaluated[name];
      return summary ? [spread(NAMES[name], summary, ({ p95, p99, max }) => [p95, p99, max], small)] : [];
    }),
  ];
  const lines = [
    `layer ${layer}: ${k} of ${candidates} candidates on ${tokens} tokens`,
    table(rows),
    `  best ${evaluated.kind === "softmax" ? "row" : "group"} is the exact one: ${share(agreement)}`,
  ];
  if (valueError !== undefined) lines.push(`  largest error of a value: ${small(valueError)}`);
  if (certified !== undefined) lines.push(`  proven: ${share(certified)}`);
  if (estimates) {
    const { survivingK, predictedK, correlation } = estimates;
    lines.push(
      `  on ${estimates.tokens} tokens, estimates correlate with scores by ${correlation.toFixed(4)}; the first stage keeps ${share(survivingK)} of the best, predicted ${share(predictedK)}`,
    );
  }
  return lines.join("\n");
}

const NAMES = {
  divergence: "KL, returned from exact",
  unavoidable: "KL of the exact best",
  error: "error of the output",
} as const;

function spread(
  name: string,
  summary: Summary,
  worst: (summary: Summary) => readonly number[],
  format: (value: number) => string,
): string[] {
  return [name, ...[summary.mean, summary.p50, ...worst(summary)].map(format)];
}

function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((cells) => cells[i]!.length)));
  return rows
    .map((cells) => {
      const line = cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)));
      return `  ${line.join("  ").trimEnd()}`;
    })
    .join("\n");
}
