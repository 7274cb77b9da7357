// Predicted against measured recall: of the first stage, from its closed form; and of settings, from the tokens they were
// chosen by.

import { measured } from "../../calibrate/bound.ts";
import type { LayerCalibration, SettingResult, Target } from "../../calibrate/result.ts";
import { nines, ninesAxis, topOf } from "../nines.ts";
import { COLOR, type Plot } from "../plot.ts";
import { count, NAMES, percent, settingWords } from "../words.ts";

interface Point {
  readonly predicted: number;
  readonly measured: number;
  readonly low?: number;
  readonly high?: number;
  readonly name: string;
  readonly shape: string;
  readonly color: string;
}

/** Nothing where no first stage may lose anything. */
export function firstStagePlot({ layer, settings }: LayerCalibration): Plot | undefined {
  // Recalls that lead to the same buckets are one first stage.
  const groups = new Map<string, SettingResult[]>();
  for (const setting of settings) {
    if (setting.select.kind === "exact" || setting.predicted.survivingCandidates === 1) continue;
    const key = JSON.stringify([setting.candidates, setting.survivors, setting.predicted]);
    groups.set(key, [...(groups.get(key) ?? []), setting]);
  }
  if (groups.size === 0) return undefined;
  const points = [...groups.values()].map((members): Point => {
    const found = members.map(({ heldOut }) => heldOut.survivingCandidates);
    const mean = found.reduce((sum, each) => sum + each, 0) / found.length;
    const predicted = members[0]!.predicted.survivingCandidates;
    return {
      ...{ predicted, measured: mean, low: Math.min(...found), high: Math.max(...found) },
      name: `k′ ${members[0]!.candidates}, ${count(members[0]!.survivors)} survivors: ${percent(predicted)} predicted, ${percent(mean)} measured`,
      ...{ shape: "circle", color: COLOR.exact },
    };
  });
  const apart = Math.max(...points.map((point) => Math.abs(point.measured - point.predicted)));
  return {
    title: `First stage of layer ${layer}: predicted and measured`,
    description: `${points.length} first stages; the mean over estimators is at most ${percent(apart)} from the closed form.`,
    spec: diagonal(points, "predicted by the closed form", "measured, held out"),
  };
}

/** Of the front, of what the spec says, and of what is proposed. */
export function heldOutPlot(layer: LayerCalibration, target: Target): Plot {
  const { settings, proposal, current } = layer;
  const points = settings.flatMap((setting, i): Point[] => {
    if (!setting.front && i !== current && i !== proposal) return [];
    const [predicted, found] = [measured(target, setting.calibration), measured(target, setting.heldOut)];
    const isLowRank = setting.estimator.kind === "lowRank";
    return [
      {
        ...{ predicted, measured: found },
        name: `${settingWords(setting)}: ${percent(predicted)}, held out ${percent(found)}`,
        shape: isLowRank ? "diamond" : "circle",
        color: i === proposal ? COLOR.chosen : isLowRank ? COLOR.estimate : COLOR.exact,
      },
    ];
  });
  const falls = Math.max(0, ...points.map((point) => point.predicted - point.measured));
  const title = NAMES[target.measure];
  return {
    title: `${title} of layer ${layer.layer} on the tokens it was chosen by, and on others`,
    description: `${points.length} settings; the largest fall on held-out tokens is ${percent(falls)}.`,
    spec: diagonal(points, `${title}, to choose by`, `${title}, held out`),
  };
}

function diagonal(points: readonly Point[], xTitle: string, yTitle: string) {
  const all = points.flatMap((point) => [point.predicted, point.measured, point.low ?? 1, point.high ?? 1]);
  const top = topOf(all);
  const least = [0.99, 0.95, 0.9, 0.8, 0.5].find((share) => share <= Math.min(...all)) ?? 0.5;
  const place = (share: number) => nines(Math.max(least, share), top);
  const values = points.map(({ name, shape, color, ...shares }) => ({
    ...{ name, shape, color, x: place(shares.predicted), y: place(shares.measured) },
    ...{ low: place(shares.low ?? shares.measured), high: place(shares.high ?? shares.measured) },
  }));
  const [from, to] = [nines(least, 9), top];
  const x = { field: "x", ...ninesAxis(xTitle, least, top) } as const;
  const y = { field: "y", ...ninesAxis(yTitle, least, top) } as const;
  const color = { field: "color", type: "nominal", scale: null } as const;
  return {
    ...{ width: 250, height: 200 },
    layer: [
      {
        data: {
          values: [
            { x: from, y: from },
            { x: to, y: to },
          ],
        },
        mark: { type: "line", color: COLOR.dim, strokeDash: [4, 4] },
        encoding: { x, y },
      },
      {
        data: { values: values.filter(({ low, high }) => low < high) },
        mark: { type: "rule", strokeWidth: 1.5, opacity: 0.6 },
        encoding: { x, y: { ...y, field: "low" }, y2: { field: "high" }, color },
      },
      {
        data: { values },
        mark: { type: "point", filled: true, size: 45, opacity: 0.9, aria: true },
        encoding: {
          x,
          y,
          color,
          shape: { field: "shape", type: "nominal", scale: null },
          description: { field: "name", type: "nominal" },
        },
      },
    ],
  } as Plot["spec"];
}
