// What calibration found of a layer's shards, as people read it.

import type { LayerCalibration, ShardCalibration, SlackResult } from "../../calibrate/result.ts";
import { formatBytes } from "../../format-bytes.ts";
import { columns, percent } from "./columns.ts";

/** Rows are shown from so much below the target on, and from such odds of a second exchange down. */
const [BELOW_TARGET, MOST_ODDS] = [0.1, 0.25];

export function formatShards({ shards, kind, k }: LayerCalibration): string[] {
  if (!shards) return [];
  const { count, layout, target, current, proposal } = shards;
  const selected = proposal?.selected ?? current.selected;
  const what = kind === "softmax" ? `${selected} candidates` : `${k} best groups`;
  const change = Object.entries(proposal?.change ?? {}).map(([name, value]) => `${name}: ${value}`);
  const marks =
    change.length > 0
      ? `> proposed: ${change.join(", ")}, = what the spec says`
      : "> proposed, and what the spec says already";
  const lines = [
    `  ${count} shards, ${layout}: slack for ${percent(target.recall)} of the ${what}`,
    slackTable(shards, selected),
  ];
  if (shards.exchanges) {
    lines.push(`  rows to send for a second exchange on at most ${percent(target.resend!)} of the tokens`);
    lines.push(exchangeTable(shards));
  }
  return [...lines, `  ${marks}`];
}

function slackTable({ slacks, current, proposal, target }: ShardCalibration, selected: number): string {
  const all = slacks.filter((each) => each.selected === selected);
  const isProposed = ({ keep }: SlackResult) => keep === proposal?.keep;
  const isCurrent = ({ keep }: SlackResult) => selected === current.selected && keep === current.keep;
  const last = all.findLastIndex((each) => isProposed(each) || isCurrent(each));
  // Where the closed form would have it.
  const predicted = all.findIndex((each) => each.predicted >= target.recall);
  const shown = all.filter(
    (each, i) =>
      isCurrent(each) ||
      i === predicted ||
      (each.calibration.recall.mean >= target.recall - BELOW_TARGET && (proposal?.keep === undefined || i <= last + 1)),
  );
  const hasError = shown.some(({ heldOut }) => heldOut.error);
  const titles = ["", "slack", "each", "exact bytes", "predicted", "measured", "held out", "surely"];
  const rows = shown.map((each) => {
    const { slack, keep, bytes, predicted, calibration, heldOut, bound } = each;
    return [
      ...[isProposed(each) ? ">" : isCurrent(each) ? "=" : "", String(slack), String(keep), formatBytes(bytes)],
      ...[predicted, calibration.recall.mean, heldOut.recall.mean, bound].map(percent),
      ...[heldOut.error, heldOut.missed].flatMap((error) => (error ? [error.mean.toPrecision(2)] : [])),
    ];
  });
  return columns([[...titles, ...(hasError ? ["error", "missed"] : [])], ...rows]);
}

function exchangeTable({ exchanges, current, proposal }: ShardCalibration): string {
  const last = Math.max(current.sent, proposal?.sent ?? 0) + 1;
  const rows = exchanges!
    .filter(({ sent, calibration }) => sent === current.sent || (calibration <= MOST_ODDS && sent <= last))
    .map(({ sent, bytes, predicted, calibration, heldOut }) => [
      ...[sent === proposal?.sent ? ">" : sent === current.sent ? "=" : "", String(sent)],
      ...[formatBytes(Math.round(bytes)), ...[predicted, calibration, heldOut].map(percent)],
    ]);
  return columns([["", "sent", "per token", "predicted", "measured", "held out"], ...rows]);
}
