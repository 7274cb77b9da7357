// The report of a calibration: what is proposed and why, and what everything else would have come to.

import type { Plan } from "../../runtime/plan.ts";
import { measured } from "../calibrate/bound.ts";
import type { Calibration, LayerCalibration, Target } from "../calibrate/result.ts";
import { calibratedLayer } from "./calibrated-layer.ts";
import { bytesPlot } from "./figures/bytes.ts";
import { type Figure, type Run, renderPage, type Section, type Table } from "./page.ts";
import { draw } from "./plot.ts";
import { bytes, count, listed, NAMES, percent, plural, settingCells, sideEffect, wantedShare } from "./words.ts";

export interface CalibrationReport {
  readonly result: Calibration;
  /** Of each layer as it is proposed; of one without a proposal as the spec has it. */
  readonly plan: Plan;
  /** The change of the spec, as a unified diff; empty where there is none. */
  readonly diff: string;
  readonly run: Run;
}

/** @returns one HTML file. Equal results, plans, diffs and runs give equal bytes. */
export async function calibrationReport({ result, plan, diff, run }: CalibrationReport): Promise<string> {
  const { model, target, layers, problems } = result;
  const bytesRead: Figure = {
    title: "Weight bytes of a launch, of dense",
    svg: await draw(bytesPlot(layers, 900), "bytes"),
    narrow: await draw(bytesPlot(layers, 200), "bytes-narrow"),
    caption: "Each bar is what the proposal reads, or without one the best that can be reached.",
    legend: [
      { key: "bar", text: "proposed" },
      { key: "spec", text: "in the spec" },
    ],
  };
  const sections: Section[] = [
    {
      ...{ id: "proposal", title: "Proposal", notices: problems, tables: [proposalTable(layers, target)] },
      ...(layers.some(({ best }) => best !== undefined) && { figures: [[bytesRead]] }),
    },
    ...(diff === "" ? [] : [{ id: "change", title: "Change of the spec", diff }]),
  ];
  for (const [i, layer] of layers.entries()) sections.push(await calibratedLayer(layer, target, plan, `layer-${i}`));
  sections.push(method(result));
  return renderPage({ title: `Calibration of ${model}`, lead: lead(result), sections, run });
}

function lead({ layers, target, spec }: Calibration): string[] {
  const settings = layers.reduce((sum, layer) => sum + layer.settings.length, 0);
  const chosen = layers.filter(({ proposal }) => proposal !== undefined);
  const none = layers.filter(({ proposal }) => proposal === undefined).map(({ layer }) => `\`${layer}\``);
  const saved = chosen.map(({ layer, settings, proposal, denseBytes }) => {
    const share = 1 - settings[proposal!]!.reads.total / denseBytes;
    return `\`${layer}\` ${Math.round(100 * share)} %`;
  });
  const wanted = `${wantedShare(target)} ${NAMES[target.measure]}`;
  return [
    ...(saved.length > 0
      ? [`With the settings proposed for ${wanted}, a launch reads fewer weight bytes than dense: ${listed(saved)}.`]
      : []),
    ...(none.length > 0 ? [`No setting of ${listed(none)} surely reaches ${wanted}.`] : []),
    `${plural(settings, "setting")} of ${plural(layers.length, "layer")} of \`${spec}\` were measured on recorded inputs.`,
  ];
}

function proposalTable(layers: readonly LayerCalibration[], target: Target): Table {
  const isTimed = layers.some(({ denseMilliseconds }) => denseMilliseconds !== undefined);
  const name = NAMES[target.measure];
  const rows = layers.map((layer) => {
    const { settings, proposal, best, current, denseBytes, denseMilliseconds } = layer;
    const shown = settings[proposal ?? best ?? -1];
    const spec = current === undefined ? "dense" : bytes(settings[current]!.reads.total);
    if (!shown) return [`\`${layer.layer}\``, "none", ...Array(isTimed ? 8 : 7).fill("–"), spec, bytes(denseBytes)];
    const { calibration, heldOut, bound, reads, milliseconds } = shown;
    const [estimator, candidates, select] = settingCells(shown);
    return [
      `\`${layer.layer}\``,
      `${proposal === undefined ? "none; the best: " : ""}${estimator}`,
      ...[candidates!, select!],
      ...[measured(target, calibration), measured(target, heldOut), bound].map((share) => percent(share)),
      sideEffect(heldOut),
      ...(isTimed ? [`${milliseconds?.toPrecision(3) ?? "–"} of ${denseMilliseconds?.toPrecision(3)}`] : []),
      bytes(reads.total),
      ...[spec, bytes(denseBytes)],
    ];
  });
  const settings = ["estimator", "k′", "first stage"];
  const shares = [name, "held out", "surely", "KL or error", ...(isTimed ? ["ms, of dense"] : [])];
  return {
    caption: `What is proposed, its ${name}, and the weight bytes of a launch`,
    head: ["layer", ...settings, ...shares, "reads", "in the spec", "dense"],
    rows,
    words: [1, 3],
  };
}

function method({ layers, target, seed, engine }: Calibration): Section {
  const [{ tokens } = { tokens: undefined }] = layers;
  const what = {
    recall: "Recall is the share of the exact k best rows, or groups, that are returned",
    agreement: "Agreement is the share of tokens whose exact best row is returned",
    certified: "A token is proven where its k-th exact score lies above all that a dropped row may score",
  }[target.measure];
  return {
    id: "method",
    title: "How this was found",
    paragraphs: [
      `${what}. Candidates are scored exactly, so what is lost is what the estimator, or the first stage, ranks too low.`,
      `Half of the recorded tokens (${tokens ? count(tokens.calibration) : 0} for the first layer) chose the settings and fitted roundings and bases; the other half (${tokens ? count(tokens.heldOut) : 0}) was held out. The proposal is the cheapest setting that reaches ${wantedShare(target)} on the first half, and on the second with 95 % confidence: Wilson's lower bound, in which the rows of a token count as fewer independent ones where they are missed together. Layers that one call of the spec writes get one setting.`,
      `Bytes per launch are the weights that a launch of the layer's batch reads, and in figures also 16 bytes for each survivor of each token, which is written and read once.`,
      `Seed ${seed}; products by ${engine}.`,
    ],
  };
}
