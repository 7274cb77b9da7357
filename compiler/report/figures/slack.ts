// Certificate slack: by how much the k-th exact score lies above whatever was dropped, over tokens, for settings of the front.

import type { LayerCalibration } from "../../calibrate/result.ts";
import { BYTES_LABEL, COLOR, type Plot } from "../plot.ts";
import { bytes, percent, settingWords, small } from "../words.ts";

/** Nothing for a layer that is not certified. */
export function slackPlot({ layer, settings, proposal, current }: LayerCalibration): Plot | undefined {
  const values = settings.flatMap((setting, i) => {
    const { slack, certified } = setting.heldOut;
    if (!slack || certified === undefined || !(setting.front || i === proposal || i === current)) return [];
    const role = i === proposal ? "proposed: " : i === current ? "in the spec: " : "";
    const color = i === proposal ? COLOR.chosen : i === current ? COLOR.estimate : COLOR.exact;
    const name = `${role}${settingWords(setting)}: ${percent(certified)} of the tokens proven, median slack ${small(slack.p50)}, ${bytes(setting.cost)}`;
    return [{ cost: setting.cost, low: slack.p5, middle: slack.p50, high: slack.p95, name, color }];
  });
  if (values.length === 0) return undefined;
  const x = {
    field: "cost",
    type: "quantitative",
    scale: { zero: false },
    axis: { title: "bytes per launch", labelExpr: BYTES_LABEL, grid: false, tickCount: 5 },
  } as const;
  const y = { type: "quantitative", axis: { title: "slack, in scores", tickCount: 5 } } as const;
  const color = { field: "color", type: "nominal", scale: null } as const;
  const description = { field: "name", type: "nominal" } as const;
  return {
    title: `Certificate slack of layer ${layer}`,
    description: `${values.length} settings; a token is proven where its slack is above 0.`,
    spec: {
      ...{ width: 300, height: 200 },
      layer: [
        {
          data: { values: [{ zero: 0 }] },
          mark: { type: "rule", color: COLOR.text },
          encoding: { y: { field: "zero", ...y } },
        },
        {
          data: { values },
          mark: { type: "rule", strokeWidth: 2 },
          encoding: { x, y: { field: "low", ...y }, y2: { field: "high" }, color },
        },
        {
          data: { values },
          mark: { type: "point", filled: true, size: 50, opacity: 1, aria: true },
          encoding: { x, y: { field: "middle", ...y }, color, description },
        },
      ],
    },
  };
}
