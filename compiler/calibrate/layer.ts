// One layer: every setting of its grid, measured on both parts of its tokens. Memory holds the layer's weights, and the scores
// of all rows for all tokens twice: exact, and as one estimator has them.

import { copyOf, shareBases } from "../../runtime/measure/copy.ts";
import { deviationsOf } from "../../runtime/measure/deviations.ts";
import { type ExactLayer, exactLayer, type LayerWeights, tokenOf } from "../../runtime/measure/exact.ts";
import type { Product } from "../../runtime/measure/product.ts";
import { qualityOf, summaryOf } from "../../runtime/measure/quality.ts";
import { estimatedScores } from "../../runtime/measure/scores.ts";
import { measureSettings } from "../../runtime/measure/settings.ts";
import { estimatedCounts, exactHistogram } from "../../runtime/measure/spread.ts";
import type { LayerPlan } from "../../runtime/plan.ts";
import { route } from "../crossover.ts";
import type { CheckedEstimator, CheckedLayer } from "../model.ts";
import { readsOf } from "../reads.ts";
import { tile } from "../tile.ts";
import { rankSettings } from "./choose.ts";
import { firingOf } from "./firing.ts";
import { choicesOf, estimatorsOf, type Grid, keyOf, selectorsOf, withSetting } from "./grid.ts";
import type { LayerCalibration, ScoreShape, Setting, SettingResult, Target } from "./result.ts";
import { calibrateShards } from "./shards.ts";
import type { SplitTokens } from "./split.ts";

/** What one estimator's settings came to, before they are ranked. */
export type Measured = Omit<SettingResult, "bound" | "front">;

/** What one estimator came to. */
export interface MeasuredEstimator {
  readonly settings: readonly Measured[];
  /** Of its estimates, see `ScoreShape`. */
  readonly counts: readonly number[];
}

/** What has been measured of the layer before, by estimator. */
export interface Known {
  get(estimator: string): MeasuredEstimator | undefined;
  set(estimator: string, measured: MeasuredEstimator): Promise<void>;
}

export interface LayerInput {
  readonly layer: CheckedLayer;
  readonly weights: LayerWeights;
  readonly tokens: SplitTokens;
  readonly grid: Grid;
  readonly target: Target;
  readonly product: Product;
  readonly known: Known;
  /** Called with rows done. */
  readonly onRows: (rows: number) => void;
}

/** Tokens of each part on which errors of outputs are measured, which takes milliseconds for each setting. */
const ERROR_TOKENS = 64;

/** Bytes of a survivor, written by the first kernel and read by the second. */
const SURVIVOR_BYTES = 2 * 8;

/** Rows that `onRows` is called with for a layer. */
export function workOf(layer: CheckedLayer, grid: Grid): number {
  return layer.rows * (1 + estimatorsOf(grid, layer).length);
}

export async function calibrateLayer(input: LayerInput): Promise<LayerCalibration> {
  const { layer, weights, tokens, grid, target, product, known, onRows } = input;
  const { x, counts } = tokens;
  const { calibration } = counts;
  const errorTokens = (token: number) => (token < calibration ? token : token - calibration) < ERROR_TOKENS;
  const exact = await exactLayer(tile(layer), weights, x, product, errorTokens, onRows);
  const fit = x.subarray(0, calibration * layer.inputs);
  const bases = shareBases(weights.scored);
  const histogram = exactHistogram(exact, calibration);
  const measured: Measured[] = [];
  const estimates: { estimator: CheckedEstimator; counts: readonly number[] }[] = [];
  const skipped: { estimator: CheckedEstimator; why: string }[] = [];
  for (const estimator of estimatorsOf(grid, layer)) {
    const settings = settingsOf(layer, estimator, grid);
    const key = keyOf(estimator);
    const before = known.get(key);
    if (settings.length === 0) skipped.push({ estimator, why: "the dense path reads no more bytes" });
    if (settings.length === 0 || before) {
      measured.push(...(before?.settings ?? []));
      if (before) estimates.push({ estimator, counts: before.counts });
      onRows(layer.rows);
      continue;
    }
    const plans = settings.map(({ plan }) => plan);
    const copy = copyOf(plans[0]!, weights.scored, x, fit, bases, product);
    const estimated = await estimatedScores(copy, layer.rows, product, onRows);
    const measures = measureSettings(exact, estimated, plans, x);
    const results = settings.map(({ setting, plan }, i): Measured => {
      const reads = readsOf(plan, layer.batch);
      const survivors = Math.min(choicesOf(layer), plan.selection.buckets * plan.selection.keep);
      const { recallOfK, recallOfCandidates } = plan.selection;
      return {
        ...setting,
        ...{ reads, survivors, cost: reads.total + SURVIVOR_BYTES * survivors * layer.batch },
        predicted: { survivingK: recallOfK, survivingCandidates: recallOfCandidates },
        calibration: qualityOf(measures[i]!, 0, calibration),
        heldOut: qualityOf(measures[i]!, calibration, exact.tokens),
      };
    });
    const counts = estimatedCounts(exact, estimated, plans[0]!, calibration, histogram);
    measured.push(...results);
    estimates.push({ estimator, counts });
    await known.set(key, { settings: results, counts });
  }
  const scores = { exact: histogram, ...shapeOf(exact, calibration), estimates };
  return describe(input, exact, rankSettings(measured, target, layer.k), skipped, scores);
}

/** The settings of an estimator, without those that are compiled as the dense path. */
function settingsOf(layer: CheckedLayer, estimator: CheckedEstimator, grid: Grid) {
  const all = grid.candidates.flatMap((candidates) =>
    selectorsOf(grid, layer).map((select): Setting => ({ estimator, candidates, select })),
  );
  const settings: { readonly setting: Setting; readonly plan: LayerPlan }[] = [];
  for (const setting of all) {
    const { select, candidates } = setting;
    const { expected } = select.kind === "statistical" ? select : {};
    if (expected !== undefined && expected < candidates) continue;
    const changed = withSetting(layer, setting);
    if (!route(changed).crossover?.taken) settings.push({ setting, plan: tile(changed) });
  }
  return settings;
}

function describe(
  { layer, grid, tokens: { counts } }: LayerInput,
  exact: ExactLayer,
  settings: readonly SettingResult[],
  skipped: LayerCalibration["skipped"],
  scores: ScoreShape,
): LayerCalibration {
  const { kind, name, inputs, rows, dtype, k, batch } = layer;
  const current = settings.findIndex(
    ({ estimator, candidates, select }) =>
      keyOf(estimator) === keyOf(layer.estimator) &&
      candidates === layer.candidates &&
      keyOf(select) === keyOf(layer.select),
  );
  return {
    ...{ layer: name, kind, inputs, rows },
    ...(layer.kind === "ffn" && { outputs: layer.outputs, group: sizesOf(layer) }),
    ...{ dtype, k, batch, grid, tokens: counts, denseBytes: exact.plan.bytes.dense, settings, skipped },
    ...(current >= 0 && { current }),
    scores,
    ...(exact.neurons && { firing: firingOf(exact) }),
    ...(layer.shards && { shards: calibrateShards(layer, layer.shards, grid, exact, counts.calibration) }),
  };
}

function sizesOf({ group: { size, count, common } }: Extract<CheckedLayer, { kind: "ffn" }>) {
  return { size, count, common };
}

function shapeOf({ scores, choices, common, best, plan: { k } }: ExactLayer, tokens: number) {
  const ranked = (rank: number) =>
    summaryOf(
      Float64Array.from({ length: tokens }, (_, token) => {
        const own = tokenOf(scores, token, choices);
        return deviationsOf(own.subarray(common))(own[best[token]![rank]!]!);
      }),
    );
  return { best: ranked(0), kth: ranked(k - 1) };
}
