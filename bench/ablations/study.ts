// One layer: every setting against the exact layer, and how the losses of the two halves add up.

import { recallBound } from "../../compiler/calibrate/bound.ts";
import type { CheckedEstimator, CheckedLayer } from "../../compiler/model.ts";
import { expectedRecall } from "../../compiler/recall.ts";
import { tile } from "../../compiler/tile.ts";
import { deviationsOf } from "../../runtime/measure/deviations.ts";
import { evaluateTokens, type TokenEvaluation } from "../../runtime/measure/evaluation.ts";
import { type ExactLayer, exactLayer, tokenOf } from "../../runtime/measure/exact.ts";
import type { Product } from "../../runtime/measure/product.ts";
import { keptBy } from "../scaling/placement.ts";
import { bytesOf } from "./bytes.ts";
import { choicesOf, type Part, type StudyLayer } from "./layer.ts";
import { runSettings, selectionOf } from "./run.ts";
import { type Grid, keyOf, type Setting, type Spread, settingsOf } from "./settings.ts";
import { type Mean, meanOf } from "./statistics.ts";

export interface LayerStudy {
  readonly model: string;
  readonly layer: string;
  readonly kind: "softmax" | "ffn";
  readonly source: string;
  readonly inputs: number;
  readonly rows: number;
  readonly outputs?: number;
  readonly k: number;
  /** Rows, or groups, that are chosen from. */
  readonly choices: number;
  readonly denseBytes: number;
  readonly parts: readonly (Part & { readonly kthInDeviations: number })[];
  readonly points: readonly Point[];
  readonly interactions: readonly Interaction[];
}

/** A setting on the tokens of a part. */
export interface Point {
  readonly part: string;
  readonly setting: Setting;
  /** Weight bytes of one token alone. */
  readonly bytes: number;
  readonly recall: Share;
  readonly agreement: Share;
  /** Of a head: KL divergence, in nats, of the returned distribution from the exact one, beyond that of the exact k best. */
  readonly divergence?: Mean;
  /** Of a feed-forward: ‖output - exact output‖ / ‖exact output‖. */
  readonly error?: Mean;
  /** Of exact scores over shards: the closed form of recall where the best lie at random. */
  readonly predicted?: number;
}

export interface Share {
  readonly mean: number;
  /** What it is at least, with 95 % confidence. */
  readonly least: number;
}

/** The recall of both halves alone, with as many candidates as together. */
export interface Interaction {
  readonly part: string;
  readonly estimator: CheckedEstimator;
  readonly spread: Spread;
  readonly compression: number;
  readonly distributed: number;
  readonly both: number;
  /** How much higher the recall of both is than if losses added up. */
  readonly interaction: Mean;
}

export async function studyLayer(
  study: StudyLayer,
  grid: Grid,
  product: Product,
  log: (line: string) => void = () => {},
): Promise<LayerStudy> {
  const { layer, weights, x, parts } = study;
  const exact = await exactLayer(tile(layer), weights, x, product, () => false);
  log("exact");
  const settings = settingsOf(study, grid);
  const both = settings.filter(({ method }) => method === "both") as Both[];
  const all = [...settings, ...both.map((setting) => onOneDevice(layer, setting))];
  const outcomes = await runSettings(study, exact, all, product, log);
  const evaluated = new Map(all.map((setting, i) => [keyOf(setting), evaluateTokens(exact, outcomes[i]!.result)]));
  const points = settings.flatMap((setting, i) => {
    const bytes = bytesOf(layer, setting, outcomes[i]!.passed);
    return parts.map((part) => pointOf(study, setting, bytes, evaluated.get(keyOf(setting))!, part));
  });
  const interactions = both.flatMap((setting) => {
    const { estimator, spread } = setting;
    const [compression, distributed, together] = [
      onOneDevice(layer, setting),
      { method: "distributed", spread },
      setting,
    ].map((each) => evaluated.get(keyOf(each))!.recall);
    return parts.map((part) => ({
      ...{ part: part.name, estimator, spread },
      ...addUp(compression!, distributed!, together!, part),
    }));
  });
  const { kind, inputs, rows, k } = layer;
  return {
    ...{ model: study.model, layer: study.name, kind, source: study.source, inputs, rows },
    ...(layer.kind === "ffn" && { outputs: layer.outputs }),
    ...{ k, choices: choicesOf(layer), denseBytes: exact.plan.bytes.dense },
    parts: parts.map((part) => ({ ...part, kthInDeviations: kthInDeviations(exact, part) })),
    ...{ points, interactions },
  };
}

type Both = Extract<Setting, { readonly method: "both" }>;

/** The same copy on one device, with as many candidates as all shards have together. */
function onOneDevice(layer: CheckedLayer, setting: Both): Extract<Setting, { readonly method: "compression" }> {
  const { shards, candidates } = selectionOf(layer, setting);
  return {
    ...{ method: "compression", estimator: setting.estimator },
    candidates: Math.min(choicesOf(layer), shards * candidates),
  };
}

function pointOf(study: StudyLayer, setting: Setting, bytes: number, evaluated: TokenEvaluation, part: Part): Point {
  const of = (values: Float64Array) => values.subarray(part.from, part.to);
  const { recall, agreement, divergence, unavoidable, error } = evaluated;
  const { layer } = study;
  const predicted =
    setting.method === "distributed"
      ? expectedRecall(
          { rows: choicesOf(layer), count: setting.spread.shards },
          layer.k,
          keptBy(setting.spread, layer.k),
        )
      : undefined;
  return {
    ...{ part: part.name, setting, bytes },
    recall: shareOf(of(recall), layer.k),
    agreement: shareOf(of(agreement), 1),
    ...(divergence && { divergence: meanOf(of(divergence.map((each, i) => each - unavoidable![i]!))) }),
    ...(error && { error: meanOf(of(error)) }),
    ...(predicted !== undefined && { predicted }),
  };
}

/** @param k what a token's share is of. */
function shareOf(values: Float64Array, k: number): Share {
  const { mean, variance } = meanOf(values);
  return { mean, least: recallBound({ tokens: values.length, recall: { mean }, recallVariance: variance }, k) };
}

function addUp(compression: Float64Array, distributed: Float64Array, both: Float64Array, { from, to }: Part) {
  const [a, b, ab] = [compression, distributed, both].map((recall) => recall.subarray(from, to));
  return {
    ...{ compression: meanOf(a!).mean, distributed: meanOf(b!).mean, both: meanOf(ab!).mean },
    interaction: meanOf(ab!.map((each, i) => each - (a![i]! + b![i]! - 1))),
  };
}

/** How many deviations the k-th best score lies above the mean of all, on average over tokens. */
function kthInDeviations({ scores, choices, best }: ExactLayer, { from, to }: Part): number {
  const each = Array.from({ length: to - from }, (_, i) => {
    const own = tokenOf(scores, from + i, choices);
    return deviationsOf(own)(own[best[from + i]!.at(-1)!]!);
  });
  return meanOf(each).mean;
}
