// Recall against bytes: what each estimator reaches, the front over all of them, and where the proposal stands.

import { measured } from "../../calibrate/bound.ts";
import { keyOf } from "../../calibrate/grid.ts";
import type { LayerCalibration, SettingResult, Target } from "../../calibrate/result.ts";
import { nines, ninesAxis, topOf } from "../nines.ts";
import { BYTES_LABEL, COLOR, type Plot } from "../plot.ts";
import { bytes, estimatorName, NAMES, percent, settingWords } from "../words.ts";

/** Settings below this share say nothing about those near the target; what is marked is shown all the same. */
const LEAST = 0.5;

/** @param isNarrow for screens that have no room for single estimators, and are touched, so that there are no tooltips. */
export function frontPlot(layer: LayerCalibration, target: Target, isNarrow: boolean): Plot {
  const size = isNarrow ? { width: 300, height: 300 } : { width: 960, height: 380 };
  const { settings, denseBytes, proposal, current, best } = layer;
  const share = (setting: SettingResult) => measured(target, setting.calibration);
  const notable = [proposal ?? best, current].flatMap((place) => settings[place ?? -1] ?? []);
  const least = notable.some((setting) => Math.min(share(setting), setting.bound) < LEAST) ? 0 : LEAST;
  const shown = settings.filter((setting) => share(setting) >= least);
  const top = topOf([...shown.map(share), target.value]);
  const at = (setting: SettingResult) => ({ cost: setting.cost, place: nines(share(setting), top) });
  const named = (setting: SettingResult) =>
    `${settingWords(setting)}: ${percent(share(setting))}, held out ${percent(measured(target, setting.heldOut))}, surely ${percent(setting.bound)}, ${bytes(setting.cost)}`;
  const lines = (isNarrow ? [] : ownFronts(shown, share)).flatMap((front) => {
    const name = estimatorName(front[0]!);
    const kind = front[0]!.estimator.kind;
    return front.map((setting) => ({ ...at(setting), name, kind }));
  });
  const front = shown.filter((setting) => setting.front).map((setting) => ({ ...at(setting), name: named(setting) }));
  const marked = [
    { place: proposal, role: "proposed", color: COLOR.chosen, shape: "circle" },
    { place: current === proposal ? undefined : current, role: "in the spec", color: COLOR.estimate, shape: "square" },
    { place: proposal === undefined ? best : undefined, role: "best", color: COLOR.chosen, shape: "diamond" },
  ].flatMap(({ place, ...rest }) => {
    const setting = place === undefined ? undefined : settings[place];
    if (!setting) return [];
    const held = nines(setting.bound, top);
    // Names stand where there is room for them.
    const left = setting.cost > denseBytes / 2;
    return [{ ...at(setting), ...rest, held, left, name: `${rest.role}: ${named(setting)}` }];
  });
  const x = {
    field: "cost",
    type: "quantitative",
    scale: { domain: [0, denseBytes * 1.02] as number[], nice: false },
    axis: { title: "bytes per launch", labelExpr: BYTES_LABEL, tickCount: Math.round(size.width / 90), grid: false },
  } as const;
  const y = { field: "place", ...ninesAxis(NAMES[target.measure], least, top) } as const;
  const aria = !isNarrow;
  const tip = { description: { field: "name", type: "nominal" } } as const;
  const label = (left: boolean) =>
    ({
      data: { values: marked.filter((each) => each.left === left) },
      mark: {
        type: "text",
        align: left ? "right" : "left",
        dx: left ? -14 : 14,
        fontWeight: 600,
        stroke: "var(--page)",
        strokeWidth: 4,
      },
      encoding: { x, y, text: { field: "role" }, color: { field: "color", scale: null, type: "nominal" } },
    }) as const;
  return {
    title: `${NAMES[target.measure]} of layer ${layer.layer} against bytes per launch`,
    description: describe(layer, target),
    spec: {
      ...size,
      layer: [
        {
          data: { values: lines },
          mark: { type: "line", interpolate: "step-after", strokeWidth: 1, opacity: 0.55, color: COLOR.dim, aria },
          encoding: {
            ...{ x, y, ...tip, detail: { field: "name", type: "nominal" } },
            strokeDash: {
              ...{ field: "kind", type: "nominal", legend: null },
              scale: {
                domain: ["quantized", "lowRank"] as string[],
                range: [
                  [1, 0],
                  [3, 3],
                ] as number[][],
              },
            },
          },
        },
        {
          data: { values: [{ place: nines(target.value, top) }] },
          mark: { type: "rule", color: COLOR.text, strokeDash: [6, 4] },
          encoding: { y },
        },
        {
          data: { values: [{ cost: denseBytes }] },
          mark: { type: "rule", color: COLOR.text, strokeWidth: 2 },
          encoding: { x },
        },
        {
          data: { values: [{ cost: denseBytes, text: `dense ${bytes(denseBytes)}` }] },
          mark: { type: "text", angle: 270, align: "right", dx: -4, dy: -9, color: COLOR.dim },
          encoding: { x, y: { value: 0 }, text: { field: "text" } },
        },
        {
          data: { values: front },
          mark: { type: "line", interpolate: "step-after", strokeWidth: 2, color: COLOR.exact },
          encoding: { x, y },
        },
        {
          data: { values: front },
          mark: { type: "point", filled: true, size: 36, opacity: 1, color: COLOR.exact, aria },
          encoding: { x, y, ...tip },
        },
        {
          data: { values: marked },
          mark: { type: "rule", strokeWidth: 3 },
          encoding: { x, y, y2: { field: "held" }, color: { field: "color", type: "nominal", scale: null } },
        },
        {
          data: { values: marked },
          mark: { type: "point", filled: true, size: 150, opacity: 1, stroke: "var(--page)", strokeWidth: 2, aria },
          encoding: {
            ...{ x, y, ...tip },
            shape: { field: "shape", type: "nominal", scale: null },
            color: { field: "color", type: "nominal", scale: null },
          },
        },
        label(true),
        label(false),
      ],
    },
  };
}

/** Of each estimator, those of its settings that none of its cheaper ones beats. */
function ownFronts(settings: readonly SettingResult[], share: (setting: SettingResult) => number): SettingResult[][] {
  const fronts = new Map<string, SettingResult[]>();
  for (const setting of settings) {
    const key = keyOf(setting.estimator);
    const front = fronts.get(key) ?? [];
    const last = front.at(-1);
    if (!last || share(setting) > share(last)) fronts.set(key, [...front, setting]);
  }
  return [...fronts.values()];
}

function describe({ settings, proposal, denseBytes }: LayerCalibration, target: Target): string {
  const chosen = proposal === undefined ? undefined : settings[proposal];
  const found = chosen
    ? `The proposal reaches ${percent(measured(target, chosen.calibration))} with ${bytes(chosen.cost)}`
    : "No setting reaches the target";
  return `${found}; dense reads ${bytes(denseBytes)}. The front has ${settings.filter(({ front }) => front).length} of ${settings.length} settings.`;
}
