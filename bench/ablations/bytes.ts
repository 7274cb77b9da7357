// Weight bytes that one token alone reads in a layer. Those of the method are the plans' own, over shards the sum of all; those
// of others are what they could read at best, without indices, padding or masks.

import type { CheckedEstimator, CheckedFfn, CheckedLayer } from "../../compiler/model.ts";
import { shardLayer } from "../../compiler/shard-layers.ts";
import { tile } from "../../compiler/tile.ts";
import { WEIGHT_BYTES } from "../../runtime/pack/weights.ts";
import { keptBy } from "../scaling/placement.ts";
import type { Setting, Spread } from "./settings.ts";

const EXACT: CheckedEstimator = { kind: "dense" };

/** @param passed what a threshold let through: the share of the inputs, or neurons per token. */
export function bytesOf(layer: CheckedLayer, setting: Setting, passed = 0): number {
  const { inputs, rows, k, dtype } = layer;
  const wide = WEIGHT_BYTES[dtype];
  switch (setting.method) {
    case "compression":
      return read(withCopy(layer, setting.estimator, setting.candidates));
    case "distributed":
      return sharded(withCopy(layer, EXACT, k), setting.spread);
    case "both":
      return sharded(withCopy(layer, setting.estimator, layer.candidates), setting.spread);
    case "codes":
      return codedBytes(layer, setting.estimator);
    case "inputs":
      if (layer.kind === "softmax") return passed * rows * inputs * wide;
      return wide * (passed * inputs * (rows + chosenNeurons(layer)) + layer.outputs * chosenNeurons(layer));
    case "gates":
      return wide * (rows * inputs + passed * (inputs + outputsOf(layer)));
    case "shortlist":
      if (layer.kind === "softmax") return Math.ceil(setting.share * rows) * inputs * wide;
      return (
        wide *
        (Math.ceil(setting.share * layer.group.count) * layer.group.size * inputs +
          chosenNeurons(layer) * (inputs + layer.outputs))
      );
  }
}

/** A layer in another setting; all rows of its copy are candidates for the exact selection. */
export function withCopy(layer: CheckedLayer, estimator: CheckedEstimator, candidates: number): CheckedLayer {
  return { ...layer, estimator, candidates, select: { kind: "exact" } };
}

function read(layer: CheckedLayer): number {
  const { score, rescore } = tile(layer).bytes;
  return score + rescore;
}

function sharded(layer: CheckedLayer, spread: Spread): number {
  const { shards: count, layout } = spread;
  const shards = { count, layout, slack: spread.slack, keep: keptBy(spread, layer.k), sent: 0 };
  return Array.from({ length: count }, (_, index) => shardLayer(layer, shards, index)).reduce(
    (sum, shard) => sum + (shard ? read(shard) : 0),
    0,
  );
}

/** All codes of what is scored, and of a feed-forward as many per number of the up and down rows of k groups. */
function codedBytes(layer: CheckedLayer, estimator: CheckedEstimator): number {
  const { score } = tile(withCopy(layer, estimator, layer.candidates)).bytes;
  if (layer.kind === "softmax") return score;
  const perNumber = score / (layer.rows * layer.inputs);
  return score + perNumber * chosenNeurons(layer) * (layer.inputs + layer.outputs);
}

function chosenNeurons({ k, group }: CheckedFfn): number {
  return k * group.size;
}

function outputsOf(layer: CheckedLayer): number {
  return layer.kind === "ffn" ? layer.outputs : 0;
}
