// What a calibration finds, as plain data: the file that `--out` writes, and what reports are drawn from.

import type { Diagnostic } from "../../runtime/errors.ts";
import type { Quality, Summary } from "../../runtime/measure/quality.ts";
import type { Histogram } from "../../runtime/measure/spread.ts";
import type { CheckedEstimator, CheckedSelector } from "../model.ts";
import type { Reads } from "../reads.ts";
import type { Grid } from "./grid.ts";

/** Raised whenever a result written before could be misread. */
export const RESULT_FORMAT = 2;

export interface Calibration {
  readonly format: typeof RESULT_FORMAT;
  readonly model: string;
  /** File name of the spec. */
  readonly spec: string;
  readonly target: Target;
  readonly seed: number;
  /** What computed the products, in words. */
  readonly engine: string;
  readonly layers: readonly LayerCalibration[];
  /** Of this run: what an interrupted one had done before does not count. */
  readonly seconds: number;
  /** Largest memory of the process. */
  readonly peakBytes: number;
  readonly problems: readonly Diagnostic[];
}

/** What the proposal must reach on the held-out part. */
export interface Target {
  /** Share of the exact k best that are returned, of tokens whose exact best row is, or of tokens that are proven. */
  readonly measure: "recall" | "agreement" | "certified";
  readonly value: number;
}

/** What calibration varies of a layer. */
export interface Setting {
  readonly estimator: CheckedEstimator;
  readonly candidates: number;
  readonly select: CheckedSelector;
  /** Of a layer over shards, what of them is to be changed. */
  readonly shards?: { readonly slack?: number; readonly exchange?: number };
}

export interface LayerCalibration {
  readonly layer: string;
  readonly kind: "softmax" | "ffn";
  readonly inputs: number;
  readonly rows: number;
  readonly outputs?: number;
  readonly group?: { readonly size: number; readonly count: number; readonly common: number };
  readonly dtype: string;
  readonly k: number;
  readonly batch: number;
  readonly grid: Grid;
  readonly tokens: TokenCounts;
  /** Weight bytes that the dense layer reads per launch. */
  readonly denseBytes: number;
  /** Of one launch of the dense layer, where times were asked for. */
  readonly denseMilliseconds?: number;
  /** Cheapest first. */
  readonly settings: readonly SettingResult[];
  /** Estimators of the grid that were not measured, and why. */
  readonly skipped: readonly { readonly estimator: CheckedEstimator; readonly why: string }[];
  /** Place in `settings` of what the spec says now; absent when that is `dense()` or past the crossover. */
  readonly current?: number;
  /** Place in `settings` of what is proposed; absent when nothing reaches the target. */
  readonly proposal?: number;
  /** Place in `settings` of the setting that comes nearest to any target. */
  readonly best?: number;
  readonly scores: ScoreShape;
  readonly firing?: Firing;
  /** Of a layer over shards. */
  readonly shards?: ShardCalibration;
}

export interface TokenCounts {
  readonly recorded: number;
  /** Equal tokens count once, so that no token lies in both parts. */
  readonly distinct: number;
  /** Settings are chosen, and roundings and bases fitted, on these. */
  readonly calibration: number;
  /** The choice is confirmed on these. */
  readonly heldOut: number;
}

export interface SettingResult extends Setting {
  /** Weight bytes that one launch reads. */
  readonly reads: Reads;
  /** Rows, or groups, per token that survive the first stage, at most. */
  readonly survivors: number;
  /** What settings are ordered by: weight bytes, and 16 for each survivor of each token, which is written and read. */
  readonly cost: number;
  /** What the plan predicts of the first stage alone. */
  readonly predicted: { readonly survivingK: number; readonly survivingCandidates: number };
  readonly calibration: Quality;
  readonly heldOut: Quality;
  /** What the measure of the target is at least, with 95 % confidence, by the held-out part. */
  readonly bound: number;
  /** Whether no cheaper setting has as high a measure on the calibration part. */
  readonly front: boolean;
  /** Of one launch on the device that was asked for, with its tokens going in and its results coming out; the median. */
  readonly milliseconds?: number;
}

/**
 * What the split of a layer costs, by exact scores: its shards as the plan spreads them, each with the best of its own. What is
 * predicted is the closed form for best rows, or groups, that lie at random.
 */
export interface ShardCalibration {
  readonly count: number;
  readonly layout: "interleaved" | "contiguous";
  /** Recall that slack has to reach on both parts, surely on the held-out one; of a head, odds of a second exchange at most, on both. */
  readonly target: { readonly recall: number; readonly resend?: number };
  /** Of a head for every number of candidates of the grid. From the smallest slack on. */
  readonly slacks: readonly SlackResult[];
  /** Of a head, for every number of rows that a shard may send at first. */
  readonly exchanges?: readonly ExchangeResult[];
  /** What the spec makes each shard select, in rows or groups, and send. */
  readonly current: { readonly selected: number; readonly keep: number; readonly sent: number };
  /**
   * What a shard should select and send in the setting that is proposed, and what of the spec that changes; `keep` is absent when no
   * slack reaches the target, `sent` of a feed-forward.
   */
  readonly proposal?: {
    readonly selected: number;
    readonly keep?: number;
    readonly sent?: number;
    readonly change: NonNullable<Setting["shards"]>;
  };
}

export interface SlackResult {
  /** How many the whole layer selects: candidates of a head, `k` of a feed-forward. */
  readonly selected: number;
  readonly slack: number;
  /** How many of them a shard selects. */
  readonly keep: number;
  /** Exact bytes that a token asks of a shard. */
  readonly bytes: number;
  /** Share of the best `selected` that shards select together: in closed form, and as measured. */
  readonly predicted: number;
  readonly calibration: ShardQuality;
  readonly heldOut: ShardQuality;
  /** What the share is at least, with 95 % confidence, by the held-out part; 1 where nothing can be lost. */
  readonly bound: number;
}

export interface ShardQuality {
  readonly tokens: number;
  readonly recall: Summary;
  readonly recallVariance: number;
  /**
   * Of a feed-forward, on `errorTokens` tokens: ‖output - exact output‖ / ‖exact output‖, where the exact output is that of the exact k
   * best groups, so that what shards compute beyond them counts too; and the same of the groups alone that are missed.
   */
  readonly error?: Summary;
  readonly missed?: Summary;
}

export interface ExchangeResult {
  /** Rows that every shard sends at first. */
  readonly sent: number;
  /** Bytes that a shard sends per token, those of second exchanges included as often as they are measured on the calibration part. */
  readonly bytes: number;
  /** Odds that some shard has to send more: in closed form, and as measured. */
  readonly predicted: number;
  readonly calibration: number;
  readonly heldOut: number;
}

/**
 * How the scores of the calibration tokens are spread, for histograms with the cut: in deviations of a token's exact scores
 * above their mean.
 */
export interface ScoreShape {
  readonly exact: Histogram;
  /** The best exact score of a token, and its k-th best. */
  readonly best: Summary;
  readonly kth: Summary;
  /** What each estimator orders by, in the same bins: its estimates, or of a certified layer their upper bounds. */
  readonly estimates: readonly { readonly estimator: CheckedEstimator; readonly counts: readonly number[] }[];
}

/** Which groups of a feed-forward are chosen how often. */
export interface Firing {
  /** Share of tokens that choose each group among their exact k best. */
  readonly rates: readonly number[];
  /** Groups that at least `ALWAYS` of the tokens choose: the common path. */
  readonly always: number;
  /** How many of the first groups are among them, one after the other: `common` can name only those. */
  readonly leading: number;
  /** What one launch would read less if groups were ordered so that all of those come first. */
  readonly potentialBytes: number;
  /** Neurons that are not zero, per token. */
  readonly activeNeurons: number;
  /** Groups that hold at least one of them, per token: as neurons lie, and if they were ordered by how often they fire. */
  readonly touchedGroups: number;
  readonly touchedGroupsOrdered: number;
}
