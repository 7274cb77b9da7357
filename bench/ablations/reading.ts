// What tables and plots read out of the results.

import type { CheckedEstimator } from "../../compiler/model.ts";
import type { Results } from "./results.ts";
import { type Setting, shareName } from "./settings.ts";
import type { LayerStudy, Point } from "./study.ts";

/** The tokens of a layer that are reported together. */
export interface Sample {
  readonly layer: LayerStudy;
  readonly part: string;
  readonly name: string;
  readonly points: readonly Point[];
}

export type Method = Setting["method"];

/** @param kind of the layers. Heads with columns of other sizes are left out unless they are asked for. */
export function samplesOf(all: readonly Results[], kind: LayerStudy["kind"], variants = false): Sample[] {
  return all
    .flatMap(({ layers }) => layers)
    .filter((layer) => layer.kind === kind && layer.layer.startsWith("head,") === variants)
    .flatMap((layer) =>
      layer.parts.map(({ name: part }) => ({
        ...{ layer, part },
        name: nameOf(layer, part),
        points: layer.points.filter((point) => point.part === part),
      })),
    );
}

function nameOf({ model, layer, parts }: LayerStudy, part: string): string {
  const whole = layer === "head" || layer === "feed-forward" ? model : `${model} ${layer}`;
  return parts.length > 1 ? `${whole}, ${part}` : whole;
}

/** Of the layers of one kind that resemble each other, one: of tiny-lm's three feed-forwards the second. */
export function isDistinct({ name }: Sample): boolean {
  return name !== "tiny-lm mlp0" && name !== "tiny-lm mlp2";
}

export function find<M extends Method>(
  { points }: Sample,
  method: M,
  holds: (setting: Extract<Setting, { readonly method: M }>) => boolean,
): Point | undefined {
  return points.find(
    ({ setting }) => setting.method === method && holds(setting as Extract<Setting, { readonly method: M }>),
  );
}

/** How good a point is, larger is better: what is recalled of a head, and of a feed-forward how little its output is off. */
function goodness({ kind }: LayerStudy, { recall, error }: Point): number {
  return kind === "ffn" ? 1 - error!.mean : recall.mean;
}

/** The best point of a method that reads no more bytes. */
export function bestWithin({ layer, points }: Sample, method: Method, bytes: number): Point | undefined {
  return points
    .filter((point) => point.setting.method === method && point.bytes <= bytes)
    .sort((a, b) => goodness(layer, b) - goodness(layer, a) || a.bytes - b.bytes)[0];
}

/** The points of a method that no cheaper one of it is as good as, cheapest first. */
export function frontOf({ layer, points }: Sample, method: Method): Point[] {
  const front: Point[] = [];
  const own = points.filter(({ setting }) => setting.method === method);
  for (const point of own.sort((a, b) => a.bytes - b.bytes || goodness(layer, b) - goodness(layer, a))) {
    if (front.length === 0 || goodness(layer, point) > goodness(layer, front.at(-1)!)) front.push(point);
  }
  return front;
}

/** A copy in words that are the same for layers of every width. */
export function copyName(estimator: CheckedEstimator, { inputs }: Pick<LayerStudy, "inputs">): string {
  if (estimator.kind === "quantized") return `${estimator.bits} bits`;
  if (estimator.kind === "dense") return "exact";
  const nearest = [1 / 16, 1 / 8, 1 / 4].reduce((a, b) =>
    Math.abs(b * inputs - estimator.rank) < Math.abs(a * inputs - estimator.rank) ? b : a,
  );
  return `rank ${shareName(nearest)}, basis of the ${estimator.basis}`;
}
