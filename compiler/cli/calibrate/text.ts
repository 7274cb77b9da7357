// A calibration as people read it.

import { measured } from "../../calibrate/bound.ts";
import { ALWAYS } from "../../calibrate/firing.ts";
import type { Calibration, LayerCalibration, SettingResult, Target } from "../../calibrate/result.ts";
import { writtenValues } from "../../calibrate/written.ts";
import { formatBytes } from "../../format-bytes.ts";
import { columns, percent } from "./columns.ts";
import { formatShards } from "./shards-text.ts";

/** Rows of the front that are shown gain at least so much on the one before. */
const WORTH_SHOWING = 0.002;

/** Rows are shown from so much below the target on. */
const BELOW_TARGET = 0.1;

export function formatCalibration({ model, engine, seconds, peakBytes, target, layers }: Calibration): string {
  const spent = `${seconds.toFixed(1)} s, at most ${formatBytes(peakBytes)}, products by ${engine}`;
  return [
    `${model} for ${target.measure} ${target.value}: ${spent}`,
    ...layers.map((each) => formatLayer(each, target)),
  ].join("\n\n");
}

function formatLayer(layer: LayerCalibration, target: Target): string {
  const { tokens, settings, denseBytes, current, proposal, best, denseMilliseconds } = layer;
  const same = tokens.recorded - tokens.distinct;
  const counts = `${tokens.calibration} tokens to choose by, ${tokens.heldOut} held out${same > 0 ? `, ${same} equal ones left out` : ""}`;
  const shown = settings.flatMap((setting, i) => {
    const isBest = i === best && proposal === undefined;
    const mark = i === proposal ? ">" : i === current ? "=" : isBest ? "*" : " ";
    return mark !== " " || setting.milliseconds !== undefined || isShown(settings, i, target)
      ? [row(mark, setting, target)]
      : [];
  });
  const titles = ["estimator", "k′", "select", "per launch", "fewer", target.measure, "held out", "surely", "agree"];
  const last = [layer.kind === "softmax" ? "KL" : "error", ...(denseMilliseconds === undefined ? [] : ["ms"])];
  const table = columns([["", ...titles, ...last], ...shown], [1, 3]);
  const time = denseMilliseconds === undefined ? "" : ` in ${denseMilliseconds.toPrecision(3)} ms`;
  const title = `layer ${layer.layer}: ${settings.length} settings, dense reads ${formatBytes(denseBytes)}${time}; ${counts}`;
  return [title, table, `  ${marksOf(layer)}`, ...firing(layer), ...formatShards(layer)].join("\n");
}

/** What the marks before rows mean. */
function marksOf({ current, proposal, best }: LayerCalibration): string {
  if (proposal !== undefined && proposal === current) return "> proposed, and what the spec says already";
  return [
    ...(proposal === undefined ? [] : ["> proposed"]),
    ...(proposal === undefined && best !== undefined ? ["* the best that can be reached"] : []),
    current === undefined ? "the spec's own setting is dense" : "= what the spec says",
  ].join(", ");
}

function isShown(settings: readonly SettingResult[], at: number, target: Target): boolean {
  const share = (setting: SettingResult) => measured(target, setting.calibration);
  const setting = settings[at]!;
  if (!setting.front || share(setting) < target.value - BELOW_TARGET) return false;
  // The next of the front costs hardly more and is as good or better.
  const next = settings.slice(at + 1).find(({ front }) => front);
  return !next || share(next) - share(setting) >= WORTH_SHOWING;
}

function row(mark: string, setting: SettingResult, target: Target): string[] {
  const { calibration, heldOut, reads, bound, milliseconds } = setting;
  const { estimator, candidates, select } = writtenValues(setting);
  const { divergence, error } = heldOut;
  return [
    ...[
      mark,
      plain(estimator!),
      candidates!,
      plain(select!),
      formatBytes(Math.round(reads.total)),
      `${reads.ratio.toFixed(2)}×`,
    ],
    ...[measured(target, calibration), measured(target, heldOut), bound, heldOut.agreement].map(percent),
    (divergence ?? error)?.mean.toPrecision(2) ?? "",
    ...(milliseconds === undefined ? [] : [milliseconds.toPrecision(3)]),
  ];
}

/** `quantized({ bits: 4, group: 64 })` in fewer letters. */
function plain(text: string): string {
  return text.replace(/[{}"]/g, "").replace(/\s+/g, " ").replace("( ", "(").replace(" )", ")");
}

function firing({ firing, group }: LayerCalibration): string[] {
  if (!firing || !group) return [];
  const { always, leading, potentialBytes, activeNeurons, touchedGroups, touchedGroupsOrdered } = firing;
  const lines = [
    `  neurons: ${activeNeurons.toFixed(1)} are active per token, in ${touchedGroups.toFixed(1)} of ${group.count} groups; ordered by how often they are, in ${touchedGroupsOrdered.toFixed(1)}`,
  ];
  if (always === 0) {
    return [...lines, `  common path: no group is chosen by ${100 * ALWAYS} % of the tokens`];
  }
  lines.push(
    `  common path: ${always} groups are chosen by at least ${100 * ALWAYS} % of the tokens; first in the weights, and common, they would save ${formatBytes(Math.round(potentialBytes))} per launch`,
  );
  if (leading > 0) {
    lines.push(
      `  the first ${leading} of the groups are among them: \`common: ${group.common + leading}\` with ${leading} less for k and candidates reads less and computes nearly the same`,
    );
  } else
    lines.push(
      "  they do not lie first, and a spec cannot reorder neurons: permute the rows of gate and up and the columns of down",
    );
  return lines;
}
