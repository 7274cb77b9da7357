// The weight bytes that a launch reads from device memory, by its number of tokens.

import type { LayerPlan } from "../runtime/plan.ts";

/** Weight bytes that one launch reads. */
export interface Reads {
  readonly batch: number;
  /** The scored copy, once for all tokens. */
  readonly score: number;
  /** Exact rows or bundles: those that at least one token asks for, once, when tokens choose independently of each other. */
  readonly rescore: number;
  readonly total: number;
  readonly dense: number;
  /** How many times fewer bytes than the dense layer; below 1 it reads more. */
  readonly ratio: number;
}

export function readsOf(layer: LayerPlan, batch: number): Reads {
  const { score, dense } = layer.bytes;
  const rescore = rescoredBytes(layer, batch);
  const total = score + rescore;
  return { batch, score, rescore, total, dense, ratio: dense / total };
}

function rescoredBytes({ kind, rows, candidates, group, bytes }: LayerPlan, batch: number): number {
  if (bytes.rescore === 0) return 0;
  const common = group?.common ?? 0;
  const choices = (group?.count ?? rows) - common;
  const perChoice = bytes.rescore / (candidates + common);
  // Of so many choices, each token takes its candidates at random.
  const union = choices * (1 - (1 - candidates / choices) ** batch);
  return (kind === "ffn" ? common + union : union) * perChoice;
}
