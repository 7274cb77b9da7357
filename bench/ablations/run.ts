// Settings of a layer, run on its inputs. Those that share scores share the work of making them.

import type { CheckedEstimator, CheckedLayer } from "../../compiler/model.ts";
import { tile } from "../../compiler/tile.ts";
import { copyOf } from "../../runtime/measure/copy.ts";
import { type ExactLayer, exactLayer, tokenOf } from "../../runtime/measure/exact.ts";
import type { Product } from "../../runtime/measure/product.ts";
import { estimatedScores } from "../../runtime/measure/scores.ts";
import { tokenEstimates } from "../../runtime/measure/settings.ts";
import { keptBy } from "../scaling/placement.ts";
import { withCopy } from "./bytes.ts";
import { codesOutcome, gatesOutcome, inputsOutcome, type Outcome, shortlistOutcome } from "./competitors.ts";
import { choicesOf, type StudyLayer } from "./layer.ts";
import { exactOutcome } from "./outcome.ts";
import { choose, type Selection } from "./selection.ts";
import { keyOf, type Setting } from "./settings.ts";

/** Settings that choose by scores and compute exactly what they chose. */
export type Selecting = Extract<Setting, { readonly method: "compression" | "distributed" | "both" }>;

/**
 * @param exact the layer on the inputs of the study.
 * @param log called with what is done.
 * @returns outcomes in the order of the settings.
 */
export async function runSettings(
  study: StudyLayer,
  exact: ExactLayer,
  settings: readonly Setting[],
  product: Product,
  log: (line: string) => void = () => {},
): Promise<Outcome[]> {
  const outcomes = new Map<Setting, Outcome>();
  for (const [key, group] of byScores(settings)) {
    const [first] = group;
    if (!("estimator" in first!)) {
      for (const each of await withoutCopy(study, exact, group, product)) outcomes.set(...each);
    } else {
      for (const each of await withCopyOf(study, exact, first.estimator, group, product)) outcomes.set(...each);
    }
    log(key);
  }
  return settings.map((setting) => outcomes.get(setting)!);
}

function byScores(settings: readonly Setting[]): Map<string, Setting[]> {
  const groups = new Map<string, Setting[]>();
  for (const setting of settings) {
    const key = "estimator" in setting ? keyOf(setting.estimator) : setting.method;
    groups.set(key, [...(groups.get(key) ?? []), setting]);
  }
  return groups;
}

async function withCopyOf(
  study: StudyLayer,
  exact: ExactLayer,
  estimator: CheckedEstimator,
  settings: readonly Setting[],
  product: Product,
): Promise<[Setting, Outcome][]> {
  const { estimated, estimate } = await estimatesOf(study, exact, estimator, product);
  const outcomes = select(study, exact, settings.filter(isSelecting), (token) => estimate(token).order);
  for (const setting of settings) {
    if (setting.method !== "codes") continue;
    outcomes.push([setting, await codesOutcome(study, exact, estimator, estimated, product)]);
  }
  return outcomes;
}

/** Estimates of all rows; those of a token are overwritten by the next. */
export async function estimatesOf(
  { layer, weights, x, fit, bases }: StudyLayer,
  exact: ExactLayer,
  estimator: CheckedEstimator,
  product: Product,
) {
  const plan = tile(withCopy(layer, estimator, layer.candidates));
  const copy = copyOf(plan, weights.scored, x, fit, bases, product);
  const estimated = await estimatedScores(copy, layer.rows, product);
  return { estimated, estimate: tokenEstimates(exact, estimated, plan) };
}

async function withoutCopy(
  study: StudyLayer,
  exact: ExactLayer,
  settings: readonly Setting[],
  product: Product,
): Promise<[Setting, Outcome][]> {
  const order = (token: number) => tokenOf(exact.scores, token, exact.choices);
  const outcomes = select(study, exact, settings.filter(isSelecting), order);
  const fitted = settings.some(({ method }) => method === "gates")
    ? await exactLayer(exact.plan, study.weights, study.fit, product, () => false)
    : undefined;
  for (const setting of settings) {
    if (setting.method === "inputs") {
      outcomes.push([setting, await inputsOutcome(study, exact, setting.share, product)]);
    } else if (setting.method === "gates") {
      outcomes.push([setting, gatesOutcome(exact, fitted!, setting.share)]);
    } else if (setting.method === "shortlist") {
      const { choices } = study.orders.find(({ by }) => by === setting.by)!;
      outcomes.push([setting, shortlistOutcome(exact, choices, setting.share)]);
    }
  }
  return outcomes;
}

function select(
  { layer }: StudyLayer,
  exact: ExactLayer,
  settings: readonly Selecting[],
  order: (token: number) => Float32Array,
): [Setting, Outcome][] {
  const chosen = choose(
    exact,
    order,
    settings.map((setting) => selectionOf(layer, setting)),
  );
  return settings.map((setting, i) => [setting, { result: exactOutcome(exact, chosen[i]!) }]);
}

export function isSelecting(setting: Setting): setting is Selecting {
  return setting.method === "compression" || setting.method === "distributed" || setting.method === "both";
}

/** What a compiled layer does: a head recomputes what it keeps, a feed-forward more than it keeps. */
export function selectionOf(layer: CheckedLayer, setting: Selecting): Selection {
  if (setting.method === "compression") {
    const candidates = Math.min(choicesOf(layer), setting.candidates);
    return { shards: 1, layout: "interleaved", candidates, keep: layer.kind === "ffn" ? layer.k : candidates };
  }
  const { shards, layout } = setting.spread;
  const keep = keptBy(setting.spread, layer.k);
  const recomputes = setting.method === "both" && layer.kind === "ffn";
  return { shards, layout, candidates: recomputes ? Math.ceil((layer.candidates / layer.k) * keep) : keep, keep };
}
