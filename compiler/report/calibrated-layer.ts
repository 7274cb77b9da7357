// A layer of a calibration: why its setting was chosen, in words and pictures.

import type { Plan } from "../../runtime/plan.ts";
import { measured } from "../calibrate/bound.ts";
import { keyOf } from "../calibrate/grid.ts";
import type { LayerCalibration, SettingResult, Target } from "../calibrate/result.ts";
import { frontPlot } from "./figures/front.ts";
import { firstStagePlot, heldOutPlot } from "./figures/predicted.ts";
import type { ScoresInput } from "./figures/scores.ts";
import { slackPlot } from "./figures/slack.ts";
import type { Figure, Section, Table } from "./page.ts";
import { pipelineFigures, shapeOf } from "./pipeline.ts";
import { draw, type Plot } from "./plot.ts";
import { scoresFigures } from "./scores.ts";
import {
  bytes,
  capitalized,
  NAMES,
  percent,
  plural,
  settingCells,
  settingName,
  sideEffect,
  wantedShare,
} from "./words.ts";

/** @param id of the section, unique on the page. */
export async function calibratedLayer(
  layer: LayerCalibration,
  target: Target,
  plan: Plan,
  id: string,
): Promise<Section> {
  const { settings } = layer;
  const figures: Figure[] = [];
  const add = async (name: string, plot: Plot, rest: Omit<Figure, "svg">) =>
    figures.push({ ...rest, svg: await draw(plot, `${id}-${name}`) });
  const front = settings.length > 0 ? [await frontFigure(layer, target, id)] : [];
  if (settings.length > 0) {
    for (const scores of shownScores(layer)) figures.push(...(await scoresFigures(scores, id)));
    await add("held-out", heldOutPlot(layer, target), {
      title: "On other tokens",
      caption: `${capitalized(NAMES[target.measure])} of the front on the tokens that chose it, and on those held out. What lies below the diagonal promised more than it keeps.`,
      legend: [
        { key: "point", text: "quantized" },
        ...(hasLowRank(layer) ? [{ key: "rank" as const, text: "low rank" }] : []),
        { key: "chosen", text: "proposed" },
      ],
    });
    const stage = firstStagePlot(layer);
    if (stage) {
      await add("stage", stage, {
        title: "First stage: predicted and measured",
        caption:
          "Share of the k′ best estimates that survive, by the closed form and on held-out tokens: the mean and the range over estimators.",
        legend: [
          { key: "point", text: "a k′ and a selector" },
          { key: "diagonal", text: "as predicted" },
        ],
      });
    }
    const slack = slackPlot(layer);
    if (slack) {
      await add("slack", slack, {
        title: "Certificate slack",
        caption:
          "By how much the k-th exact score lies above whatever a dropped row may score: median over held-out tokens, and 5 % to 95 %. Above 0 a token is proven.",
        legend: [
          { key: "point", text: "the front" },
          { key: "chosen", text: "proposed" },
          { key: "specDot", text: "in the spec" },
        ],
      });
    }
  }
  return {
    id,
    title: `Layer ${layer.layer}`,
    paragraphs: [shapeOf(plan.layers[layer.layer]!), ...why(layer, target), ...neurons(layer)],
    figures: [front, figures, pipelineFigures(plan, layer.layer, id)],
    ...(settings.length > 0 && { details: [frontTable(layer, target)] }),
  };
}

async function frontFigure(layer: LayerCalibration, target: Target, id: string): Promise<Figure> {
  const { proposal, current } = layer;
  return {
    title: `${capitalized(NAMES[target.measure])} against bytes`,
    caption: `Up is better, left is cheaper; each step up has a fraction of the misses, and 100 % means that none was seen. The green bar reaches down to what is sure. The points name their settings.`,
    svg: await draw(frontPlot(layer, target, false), `${id}-front`),
    narrow: await draw(frontPlot(layer, target, true), `${id}-front-narrow`),
    legend: [
      { key: "front", text: "front: no cheaper setting is as good" },
      ...(proposal === undefined
        ? [{ key: "best" as const, text: "the best that can be reached" }]
        : [{ key: "chosen" as const, text: proposal === current ? "proposed, and in the spec" : "proposed" }]),
      ...(current === undefined || current === proposal ? [] : [{ key: "spec" as const, text: "in the spec" }]),
      { key: "quantized", text: "one quantized estimator", wideOnly: true },
      ...(hasLowRank(layer)
        ? [{ key: "lowRank" as const, text: "one low-rank estimator", wideOnly: true as const }]
        : []),
      { key: "target", text: `target, ${wantedShare(target)}` },
    ],
  };
}

function hasLowRank({ settings }: LayerCalibration): boolean {
  return settings.some(({ estimator }) => estimator.kind === "lowRank");
}

/** Of the proposal, or of the best that can be reached. */
function shownScores(layer: LayerCalibration): ScoresInput[] {
  const { scores, tokens, k, kind, settings, proposal, best } = layer;
  const shown = settings[proposal ?? best ?? -1];
  const own = shown && scores.estimates.find(({ estimator }) => keyOf(estimator) === keyOf(shown.estimator));
  if (!shown || !own) return [];
  return [
    {
      ...{ layer: layer.layer, exact: scores.exact, estimates: own.counts, tokens: tokens.calibration, k },
      ...{ candidates: shown.candidates, kth: scores.kth.mean, cut: shown.calibration.cut },
      choices: kind === "ffn" ? "groups" : "rows",
      isBound: shown.heldOut.slack !== undefined,
    },
  ];
}

function why(layer: LayerCalibration, target: Target): string[] {
  const { settings, proposal, current, best, tokens, denseBytes } = layer;
  const wanted = wantedShare(target);
  const share = (setting: SettingResult) => measured(target, setting.calibration);
  if (proposal === undefined) {
    const nearest = best === undefined ? undefined : settings[best];
    if (!nearest) return ["No setting reads fewer bytes than the dense path at this batch."];
    return [
      `No setting surely reaches ${wanted}. The best, \`${settingName(nearest)}\`, has ${percent(measured(target, nearest.heldOut))} on held-out tokens, surely ${percent(nearest.bound)}, and reads ${bytes(nearest.reads.total)}.`,
    ];
  }
  const chosen = settings[proposal]!;
  const [before, own] = [settings.slice(0, proposal), settings[current ?? -1]];
  const isEnough = (each: SettingResult) => share(each) >= target.value && each.bound >= target.value;
  const alone = before.find(isEnough);
  const cheaper = alone ?? before.filter(({ front }) => front).at(-1);
  const inSpec = own && own !== chosen ? ` and the setting in the spec ${bytes(own.reads.total)}` : "";
  return [
    `Proposed: \`${settingName(chosen)}\`. ${alone ? `Good for every layer that the same call of the spec writes, it is the cheapest of those` : `It is the cheapest of ${plural(settings.length, "setting")}`} with at least ${wanted} on the ${plural(tokens.calibration, "token")} to choose by, and surely on the ${tokens.heldOut} held out: it has ${percent(share(chosen))} on the former and ${percent(measured(target, chosen.heldOut))} on the latter, so at least ${percent(chosen.bound)} with 95\u00a0% confidence. A launch reads ${bytes(chosen.reads.total)} of weights, where dense reads ${bytes(denseBytes)}${inSpec}.`,
    ...(cheaper
      ? [
          `${alone ? "For this layer alone" : "The next cheaper of the front"}, \`${settingName(cheaper)}\`${alone ? " would do: it" : ","} has ${percent(share(cheaper))}, and ${percent(measured(target, cheaper.heldOut))} held out, surely ${percent(cheaper.bound)}.`,
        ]
      : []),
    ...(proposal === current ? ["The spec says so already."] : []),
  ];
}

function neurons({ firing, group }: LayerCalibration): string[] {
  if (!firing || !group) return [];
  const { activeNeurons, touchedGroups, touchedGroupsOrdered, always, potentialBytes } = firing;
  const common =
    always === 0
      ? "No group is chosen by nearly every token: there is no common path."
      : `${plural(always, "group")} are chosen by nearly every token; first in the weights, and common, they would save ${bytes(potentialBytes)} per launch.`;
  return [
    `Per token ${activeNeurons.toFixed(1)} neurons are active, in ${touchedGroups.toFixed(1)} of ${group.count} groups; ordered by how often they are, they would lie in ${touchedGroupsOrdered.toFixed(1)}. ${common}`,
  ];
}

/** The front, and what the spec says. */
function frontTable(layer: LayerCalibration, target: Target): Table {
  const { settings, proposal, current } = layer;
  const isShown = (place: number) => settings[place]!.front || place === current || place === proposal;
  const places = [...settings.keys()].filter(isShown);
  const shares = [NAMES[target.measure], "held out", "surely", "agreement", "KL or error"];
  return {
    caption: `The front of layer ${layer.layer} as a table`,
    head: ["bytes per launch", "estimator", "k′", "first stage", ...shares, ""],
    rows: places.map((place) => {
      const setting = settings[place]!;
      const { calibration, heldOut, bound, cost } = setting;
      const found = [measured(target, calibration), measured(target, heldOut), bound, heldOut.agreement];
      const role = place === proposal ? "proposed" : place === current ? "in the spec" : "";
      return [
        bytes(cost),
        ...settingCells(setting),
        ...found.map((share) => percent(share)),
        sideEffect(heldOut),
        role,
      ];
    }),
    words: [1, 3],
    marked: places.flatMap((place, i) => (place === proposal ? [i] : [])),
  };
}
