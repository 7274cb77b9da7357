// The whole of tiny-lm with its layers in other settings: what the text's own next token costs, and whether the likeliest token is
// still the same. Nothing is compiled: scores come from the packer's codes, products from the study's engine.

import { tile } from "../../compiler/tile.ts";
import { type HeldOut, heldOut } from "../../examples/tiny-lm/held-out.ts";
import { loadDecoder } from "../../examples/tiny-lm/load.ts";
import type { FfnResult } from "../../runtime/layer.ts";
import { type ExactLayer, exactLayer, logSumExp, tokenOf } from "../../runtime/measure/exact.ts";
import type { Product } from "../../runtime/measure/product.ts";
import { bestOf } from "../../runtime/measure/ranks.ts";
import { bytesOf } from "./bytes.ts";
import { largestInputs, listed } from "./competitors.ts";
import type { StudyLayer } from "./layer.ts";
import { exactOutcome } from "./outcome.ts";
import { estimatesOf, isSelecting, runSettings, selectionOf } from "./run.ts";
import { choose } from "./selection.ts";
import { keyOf, type Setting } from "./settings.ts";
import { type Mean, meanOf } from "./statistics.ts";
import { TINY_LM } from "./tiny-lm.ts";

/** A layer without a setting is exact. */
export interface ModelSetting {
  readonly name: string;
  readonly head?: Setting;
  readonly ffn?: Setting;
}

export interface ModelResult extends ModelSetting {
  readonly perplexity: number;
  /** Of the loss, in nats per token, against the exact model; windows of text count as independent. */
  readonly change: Mean;
  /** Share of positions whose likeliest token is that of the exact model. */
  readonly agreement: Mean;
  /** Weight bytes of one token alone in head and feed-forwards. */
  readonly bytes: number;
}

/**
 * @param layers those of tiny-lm, as studied.
 * @param positions of held-out text, in whole windows of 128.
 */
export async function studyModel(
  layers: readonly StudyLayer[],
  settings: readonly ModelSetting[],
  positions: number,
  product: Product,
  log: (line: string) => void = () => {},
): Promise<ModelResult[]> {
  // Heads that meet the same hidden states share them.
  const hidden = new Map<string, Hidden>();
  const judged = async ({ head, ffn }: ModelSetting) => {
    const key = keyOf({ ffn });
    if (!hidden.has(key)) hidden.set(key, await hiddenStates(layers, ffn, positions, product));
    return judge(layers, head, ffn, hidden.get(key)!, product);
  };
  const exact = await judged({ name: "exact" });
  const results: ModelResult[] = [];
  for (const setting of [{ name: "exact" }, ...settings]) {
    const { losses, best, bytes } = await judged(setting);
    const mean = meanOf(losses).mean;
    results.push({
      ...setting,
      perplexity: Math.exp(mean),
      change: meanOf(overWindows(losses.map((loss, i) => loss - exact.losses[i]!))),
      agreement: meanOf(overWindows(Float64Array.from(best, (row, i) => Number(row === exact.best[i])))),
      bytes,
    });
    log(setting.name);
  }
  return results;
}

const WINDOW = 128;

/** Neighbours in a text resemble each other, so that a window is one observation. */
function overWindows(values: Float64Array): number[] {
  return Array.from(
    { length: values.length / WINDOW },
    (_, i) => meanOf(values.subarray(i * WINDOW, (i + 1) * WINDOW)).mean,
  );
}

interface Hidden extends Pick<HeldOut, "inputs" | "next"> {
  /** What a threshold let through, by layer. */
  readonly passed: ReadonlyMap<string, number>;
}

async function hiddenStates(
  layers: readonly StudyLayer[],
  ffn: Setting | undefined,
  positions: number,
  product: Product,
): Promise<Hidden> {
  const passed = new Map<string, number[]>();
  const decoder = await loadDecoder(TINY_LM, async (index, x) => {
    const study = { ...layerOf(layers, `mlp${index}`), x };
    const exact = await exactOf(study, product);
    const [outcome] = ffn ? await runSettings(study, exact, [ffn], product) : [];
    passed.set(study.name, [...(passed.get(study.name) ?? []), outcome?.passed ?? 0]);
    const { output } = (outcome?.result ?? exactOutcome(exact, exact.best)) as FfnResult;
    return Float32Array.from(output);
  });
  const { inputs, next } = await heldOut(TINY_LM, positions, decoder);
  return { inputs, next, passed: new Map([...passed].map(([name, all]) => [name, meanOf(all).mean])) };
}

interface Judged {
  /** -log p(next token), in nats. */
  readonly losses: Float64Array;
  /** The likeliest token of each position. */
  readonly best: Uint32Array;
  readonly bytes: number;
}

async function judge(
  layers: readonly StudyLayer[],
  head: Setting | undefined,
  ffn: Setting | undefined,
  { inputs, next, passed }: Hidden,
  product: Product,
): Promise<Judged> {
  const study = { ...layerOf(layers, "head"), x: inputs };
  const scores = await headScores(study, head, product);
  const losses = Float64Array.from(next, (token, position) => {
    const own = scores(position);
    return logSumExp(own) - own[token]!;
  });
  const best = Uint32Array.from(next, (_, position) => bestOf(scores(position), 1)[0]!);
  const passedBy = (name: string) =>
    name === "head" && head?.method === "inputs" ? largestInputs(study, head.share).passed : (passed.get(name) ?? 0);
  const bytes = layers.reduce((sum, { name, layer }) => {
    const setting = name === "head" ? head : ffn;
    return sum + (setting ? bytesOf(layer, setting, passedBy(name)) : tile(layer).bytes.dense);
  }, 0);
  return { losses, best, bytes };
}

function layerOf(layers: readonly StudyLayer[], name: string): StudyLayer {
  return layers.find((layer) => layer.name === name)!;
}

function exactOf({ layer, weights, x }: StudyLayer, product: Product): Promise<ExactLayer> {
  return exactLayer(tile(layer), weights, x, product, () => false);
}

/**
 * The logits of all rows of a position: exact ones where a setting computes them, and else what it knows of a row. Of a shortlist
 * that is the row's mean logit on the inputs that were fitted to, as a bias would hold it.
 */
async function headScores(
  study: StudyLayer,
  setting: Setting | undefined,
  product: Product,
): Promise<(position: number) => Float32Array> {
  const exact = await exactOf(study, product);
  const rows = (layer: ExactLayer) => (position: number) => tokenOf(layer.rows, position, layer.plan.rows);
  const exactRows = rows(exact);
  // Every shard knows the exact logits of its rows, and their sum.
  if (!setting || setting.method === "distributed") return exactRows;
  if (setting.method === "inputs") {
    return rows(await exactOf({ ...study, x: largestInputs(study, setting.share).x }, product));
  }
  const replaced = (base: Float32Array, position: number, chosen: Uint32Array) => {
    const own = exactRows(position);
    const scores = base.slice();
    for (const row of chosen) scores[row] = own[row]!;
    return scores;
  };
  if (setting.method === "shortlist") {
    const { choices } = study.orders.find(({ by }) => by === setting.by)!;
    const means = meanRows(await exactOf({ ...study, x: study.fit }, product));
    return (position) => replaced(means, position, listed(exact, choices, setting.share));
  }
  if (setting.method === "gates") throw new Error("an output head has no gates");
  const { estimate } = await estimatesOf(study, exact, setting.estimator, product);
  if (!isSelecting(setting)) return (position) => estimate(position).rows;
  const [chosen] = choose(exact, (position) => estimate(position).order, [selectionOf(study.layer, setting)]);
  return (position) => replaced(estimate(position).rows, position, chosen![position]!);
}

function meanRows({ rows, tokens, plan }: ExactLayer): Float32Array {
  const sums = new Float64Array(plan.rows);
  rows.forEach((score, i) => {
    sums[i % plan.rows]! += score;
  });
  return Float32Array.from(sums, (sum) => sum / tokens);
}
