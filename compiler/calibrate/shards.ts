// What slack the shards of a layer need, and how many rows they should send, by the exact scores of recorded tokens beside the closed forms,
// which take the best rows to lie at random.

import type { ExactLayer } from "../../runtime/measure/exact.ts";
import { meanOf, summaryOf, varianceOf } from "../../runtime/measure/quality.ts";
import { selectOverShards } from "../../runtime/measure/shards.ts";
import { DEFAULT_RECALL, DEFAULT_RESEND } from "../check/shards.ts";
import type { CheckedLayer, CheckedShards } from "../model.ts";
import { expectedRecall } from "../recall.ts";
import { shardLayer } from "../shard-layers.ts";
import { resendOdds } from "../shard-odds.ts";
import { evenShards, largestShard, selectedBy, spread } from "../spread.ts";
import { tile } from "../tile.ts";
import { recallBound } from "./bound.ts";
import type { Grid } from "./grid.ts";
import type { ExchangeResult, ShardCalibration, ShardQuality, SlackResult } from "./result.ts";

/** Bytes of a pair of key and row; the bound of what is not sent is one, too. */
const PAIR_BYTES = 8;

/** @param calibration tokens of the first part. */
export function calibrateShards(
  layer: CheckedLayer,
  shards: CheckedShards,
  grid: Pick<Grid, "candidates" | "slack">,
  exact: ExactLayer,
  calibration: number,
): ShardCalibration {
  const { count, layout, keep, sent, slack, exchange } = shards;
  const from = selectedBy(layer);
  const { kind, k, selected: own } = from;
  const counts = kind === "ffn" ? [k] : [...new Set([...grid.candidates, own])].sort((a, b) => a - b);
  const measured = selectOverShards(exact, { count, layout }, Math.max(k, ...counts));
  const buckets = evenShards(from, shards);
  const largest = largestShard(from, shards);
  const slackResult = (selected: number, slack: number, keep: number): SlackResult => {
    const recall = measured.recall(selected, keep);
    const errors = kind === "ffn" ? measured.errors(keep) : undefined;
    const heldOut = qualityOf(recall, errors, calibration, exact.tokens);
    const changed = { ...layer, ...(kind === "softmax" && { candidates: selected }) };
    return {
      ...{ selected, slack, keep, bytes: exactBytes(changed, { ...shards, keep }) },
      predicted: expectedRecall(buckets, selected, keep),
      calibration: qualityOf(recall, errors, 0, calibration),
      heldOut,
      bound: keep >= Math.min(selected, largest) ? 1 : recallBound(heldOut, selected),
    };
  };
  const resultsOf = (selected: number) => {
    const byKeep = new Map<number, number>();
    const current = selected === own ? [slackOf(keep, selected, count)] : [];
    for (const each of [...grid.slack, ...current].sort((a, b) => a - b)) {
      const { keep: kept } = spread({ ...shards, slack: each }, { ...from, selected });
      if (!byKeep.has(kept)) byKeep.set(kept, each);
    }
    return [...byKeep].map(([kept, each]) => slackResult(selected, each, kept));
  };
  const exchangeResult = (sent: number, most: number): ExchangeResult => {
    const resends = measured.resends(sent);
    const odds = (from: number, to: number) => meanOf(resends.subarray(from, to));
    const calibrated = odds(0, calibration);
    return {
      ...{ sent, bytes: PAIR_BYTES * (1 + sent + calibrated * (1 + most)), predicted: resendOdds(buckets, k, sent) },
      ...{ calibration: calibrated, heldOut: odds(calibration, exact.tokens) },
    };
  };
  const most = Math.min(k, largest);
  return {
    ...{ count, layout, current: { selected: own, keep, sent } },
    target: {
      recall: typeof slack === "number" ? DEFAULT_RECALL : slack.recall,
      ...(kind === "softmax" && { resend: typeof exchange === "object" ? exchange.resend : DEFAULT_RESEND }),
    },
    slacks: counts.flatMap(resultsOf),
    ...(kind === "softmax" && { exchanges: Array.from({ length: most }, (_, i) => exchangeResult(i + 1, most)) }),
  };
}

/** A layer as it will be, with the setting that is proposed for it, and what was measured of its shards. */
export interface ShardedLayer {
  readonly layer: CheckedLayer;
  readonly measured: ShardCalibration;
}

/**
 * The smallest slack and the fewest rows with which all layers reach their targets: recall on the calibration part, and surely on the
 * held-out one; odds of a second exchange on both, as they were measured, since a second exchange costs time and no row.
 * @param layers that one call of the spec writes.
 */
export function proposeForShards(
  layers: readonly ShardedLayer[],
): readonly NonNullable<ShardCalibration["proposal"]>[] {
  const slacks = layers.map(({ layer, measured }) => {
    const reaches = reachesRecall(measured.target.recall);
    return slacksOf(measured, layer).find(reaches)?.slack ?? Number.POSITIVE_INFINITY;
  });
  const slack = Math.max(...slacks);
  const sent = layers.map(({ measured: { exchanges = [], target } }) => {
    const isRare = (odds: number) => odds <= target.resend!;
    return exchanges.find(({ calibration, heldOut }) => isRare(calibration) && isRare(heldOut))?.sent ?? 0;
  });
  const most = Math.max(...sent);
  const keeps = layers.map(({ layer, measured }) => {
    const found = slacksOf(measured, layer).filter((each) => each.slack <= slack);
    return Number.isFinite(slack) ? found.at(-1)?.keep : undefined;
  });
  // One call says the same of all that it writes.
  const isOther = (of: (layer: CheckedLayer, i: number) => boolean) => layers.some(({ layer }, i) => of(layer, i));
  const change = {
    ...(Number.isFinite(slack) && isOther(({ shards }, i) => keeps[i] !== shards!.keep) && { slack }),
    ...(most > 0 && isOther(({ shards }) => most !== shards!.sent) && { exchange: most }),
  };
  return layers.map(({ layer }, i) => ({
    selected: selectedBy(layer).selected,
    ...(keeps[i] !== undefined && { keep: keeps[i] }),
    ...(most > 0 && { sent: most }),
    change,
  }));
}

function reachesRecall(recall: number): (found: SlackResult) => boolean {
  return ({ calibration, bound }) => calibration.recall.mean >= recall && bound >= recall;
}

function slacksOf({ slacks }: ShardCalibration, layer: CheckedLayer): readonly SlackResult[] {
  const { selected } = selectedBy(layer);
  return slacks.filter((each) => each.selected === selected);
}

interface Errors {
  readonly error: Float64Array;
  readonly missed: Float64Array;
}

function qualityOf(recall: Float64Array, errors: Errors | undefined, from: number, to: number): ShardQuality {
  const shares = recall.subarray(from, to);
  const ofErrors = (values: Float64Array) => summaryOf(values.subarray(from, to).filter((each) => !Number.isNaN(each)));
  return {
    ...{ tokens: to - from, recall: summaryOf(shares), recallVariance: varianceOf(shares) },
    ...(errors && { error: ofErrors(errors.error), missed: ofErrors(errors.missed) }),
  };
}

/** A number with few digits that makes a shard select so many. */
function slackOf(keep: number, selected: number, count: number): number {
  const slack = (keep * count) / selected;
  const short = Math.floor(slack * 1000) / 1000;
  return Math.ceil((short * selected) / count) === keep ? Math.max(1, short) : Math.max(1, slack);
}

function exactBytes(layer: CheckedLayer, shards: CheckedShards): number {
  const first = shardLayer(layer, shards, 0);
  return first ? tile(first).bytes.rescore : 0;
}
