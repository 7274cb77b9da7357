// How recall differs between tokens, layer by layer: the mean says little of the worst.

import type { LayerEvaluation } from "../../../runtime/node/evaluate-file.ts";
import { COLOR, type Plot } from "../plot.ts";
import { percent } from "../words.ts";

/** @param least what recall is to be, drawn as a line. */
export function tokensPlot(layers: readonly LayerEvaluation[], least: number): Plot {
  const values = layers.map(({ layer, recall }) => ({
    ...{ layer, mean: recall.mean, low: recall.p5, lowest: recall.min, high: recall.max },
    name: `${layer}: mean ${percent(recall.mean)}, worst 5 % below ${percent(recall.p5)}, worst ${percent(recall.min)}`,
  }));
  const x = {
    type: "quantitative",
    scale: {
      domain: [Math.min(least, ...values.map(({ lowest }) => lowest)) * 0.98, 1] as number[],
      zero: false,
      nice: false,
    },
    axis: { title: "recall of a token", format: "%", tickCount: 5 },
  } as const;
  const y = {
    field: "layer",
    type: "nominal",
    sort: null,
    axis: { title: null, grid: false, labelColor: COLOR.text, labelLimit: 110, ticks: false, domain: false },
  } as const;
  return {
    title: "Recall over tokens",
    description: values.map(({ name }) => name).join("; "),
    spec: {
      ...{ width: 280, height: { step: 34 }, data: { values } },
      layer: [
        {
          mark: { type: "rule", color: COLOR.exact, strokeWidth: 1 },
          encoding: { x: { field: "lowest", ...x }, x2: { field: "high" }, y },
        },
        {
          mark: { type: "rule", color: COLOR.exact, strokeWidth: 5, opacity: 0.5 },
          encoding: { x: { field: "low", ...x }, x2: { field: "high" }, y },
        },
        {
          data: { values: [{ least }] },
          mark: { type: "rule", color: COLOR.text, strokeDash: [6, 4] },
          encoding: { x: { field: "least", ...x } },
        },
        {
          mark: {
            type: "point",
            filled: true,
            size: 90,
            opacity: 1,
            color: COLOR.exact,
            stroke: "var(--page)",
            strokeWidth: 2,
            aria: true,
          },
          encoding: { x: { field: "mean", ...x }, y, description: { field: "name", type: "nominal" } },
        },
      ],
    },
  };
}
