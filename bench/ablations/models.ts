// What is studied: layers, the grid of each, and settings of the whole of tiny-lm.

import type { Product } from "../../runtime/measure/product.ts";
import type { StudyLayer } from "./layer.ts";
import { codes, factors, type Grid, type Setting } from "./settings.ts";
import { type LayerStudy, studyLayer } from "./study.ts";
import { DECAY, type FfnShape, type HeadShape, syntheticFfn, syntheticHead } from "./synthetic.ts";
import { tinyLmLayers } from "./tiny-lm.ts";
import { type ModelResult, type ModelSetting, studyModel } from "./whole-model.ts";

/** `whole-model` is tiny-lm decoding text; the others are layers. */
export const MODELS = ["tiny-lm", "500m", "2b", "8b", "whole-model"] as const;
export type ModelName = (typeof MODELS)[number];

export interface Study {
  readonly layers: readonly LayerStudy[];
  readonly whole: readonly ModelResult[];
}

type Log = (line: string) => void;

/** Positions of tiny-lm that are fitted to and as many measured, those of the whole model, and tokens of each part of other layers. */
const [POSITIONS, WHOLE, TOKENS] = [512, 1024, 64];

const head = { name: "head", k: 32, decay: DECAY, tokens: TOKENS };
const ffn = { group: 8, share: 0.05, decay: DECAY, tokens: TOKENS / 2 };

/**
 * Heads and feed-forwards of Qwen2.5 0.5B, Gemma 2 2B and Llama 3.1 8B, and of how many of their rows or neurons one is taken: a
 * copy of a whole head takes minutes.
 */
const SHAPES: Readonly<Record<"500m" | "2b" | "8b", { head: HeadShape; ffn: FfnShape }>> = {
  "500m": {
    head: { ...head, model: "500m", rows: 151_936, every: 8, inputs: 896 },
    ffn: { ...ffn, model: "500m", inputs: 896, hidden: 4864, every: 1 },
  },
  "2b": {
    head: { ...head, model: "2b", rows: 256_000, every: 16, inputs: 2304 },
    ffn: { ...ffn, model: "2b", inputs: 2304, hidden: 9216, every: 2 },
  },
  "8b": {
    head: { ...head, model: "8b", rows: 128_256, every: 16, inputs: 4096 },
    ffn: { ...ffn, model: "8b", inputs: 4096, hidden: 14_336, every: 4 },
  },
};

/** Of the smallest head, the powers that columns fall by. */
const DECAYS = [0, DECAY, 2 * DECAY];

/** @param allRows takes all rows and neurons of larger layers, not a sample. */
export async function studyOf(model: ModelName, product: Product, allRows: boolean, log: Log): Promise<Study> {
  if (model === "whole-model") {
    const own = await tinyLmLayers(POSITIONS, product);
    return { layers: [], whole: await studyModel(own, wholeSettings(), WHOLE, product, log) };
  }
  const layers: LayerStudy[] = [];
  const study = async (layer: StudyLayer) => {
    layers.push(await studyLayer(layer, gridOf(layer), product, (line) => log(`${layer.name}: ${line}`)));
  };
  if (model === "tiny-lm") for (const layer of await tinyLmLayers(POSITIONS, product)) await study(layer);
  else {
    const { head, ffn } = SHAPES[model];
    const sample = allRows ? { every: 1 } : {};
    await study(syntheticHead({ ...head, ...sample }));
    for (const decay of model === "500m" ? DECAYS : []) {
      await study(syntheticHead({ ...head, ...sample, name: `head, columns fall by ${decay}`, decay }));
    }
    await study(syntheticFfn({ ...ffn, ...sample }));
  }
  return { layers, whole: [] };
}

/** Everything for tiny-lm; for larger layers fewer copies, each of which takes minutes; where columns vary, copies alone. */
function gridOf({ model, name, layer }: StudyLayer): Grid {
  const isTiny = model === "tiny-lm";
  const isVariant = name.startsWith("head,");
  const isFfn = layer.kind === "ffn";
  const isWide = layer.inputs > 1024;
  // Fitting factors to a basis of 1024 rows takes minutes.
  const ranks = (layer.inputs >= 4096 ? [1 / 8] : [1 / 8, 1 / 4]).map(
    (share) => 32 * Math.round((share * layer.inputs) / 32),
  );
  const bases = isTiny ? (["weights", "activations"] as const) : (["weights"] as const);
  const few = isVariant || (isFfn && isWide);
  const bits = few ? ([2, 4] as const) : ([2, 3, 4, 8] as const);
  const most = isTiny && isFfn ? 16 : 64;
  return {
    estimators: [...bits.map(codes), ...bases.flatMap((basis) => ranks.map((rank) => factors(rank, basis)))],
    candidates: isFfn ? [1, 1.25, 1.5, 2, 3] : [1, 1.5, 2, 4, 8],
    shards: isVariant ? [] : [2, 4, 8, 16, 64].filter((shards) => shards <= most),
    slacks: [1, 1.25, 1.5, 2, 3, 4],
    combined: {
      estimators: isVariant ? [] : [codes(2), ...(few ? [] : [codes(4)])],
      shards: isVariant ? [] : [2, 8, most],
      slacks: [1, 1.5, 2, 4],
    },
    inputs: isVariant ? [] : [0.25, 0.5, 0.75, 0.9],
    gates: [0.1, 0.25, 0.5, 0.75],
    shortlists: isVariant ? [] : isFfn ? [1 / 8, 1 / 4, 1 / 2, 3 / 4] : [1 / 16, 1 / 8, 1 / 4, 1 / 2],
  };
}

/** Head and feed-forwards each by itself, and together. */
function wholeSettings(): ModelSetting[] {
  const compression = (bits: 2 | 4, candidates: number): Setting => ({
    ...{ method: "compression", estimator: codes(bits), candidates },
  });
  const spread = (slack: number) => ({ shards: 8, layout: "interleaved", slack }) as const;
  const alone = (slack: number): Setting => ({ method: "distributed", spread: spread(slack) });
  const both = (bits: 2 | 4, slack: number): Setting => ({
    ...{ method: "both", estimator: codes(bits), spread: spread(slack) },
  });
  const plain = (bits: 2 | 3 | 4 | 8): Setting => ({ method: "codes", estimator: codes(bits) });
  const inputs = (share: number): Setting => ({ method: "inputs", share });
  const list = (share: number): Setting => ({ method: "shortlist", by: "what is chosen", share });
  return [
    { name: "head: 2 bits, k′ 64", head: compression(2, 64) },
    { name: "head: 2 bits, 8 shards, slack 2", head: both(2, 2) },
    { name: "head: 4 bits, not recomputed", head: plain(4) },
    { name: "head: 2 bits, not recomputed", head: plain(2) },
    { name: "head: half of the inputs", head: inputs(0.5) },
    { name: "head: a quarter of the rows", head: list(0.25) },
    { name: "feed-forwards: 4 bits, k′ 24", ffn: compression(4, 24) },
    { name: "feed-forwards: 2 bits, k′ 24", ffn: compression(2, 24) },
    { name: "feed-forwards: 8 shards, slack 1", ffn: alone(1) },
    { name: "feed-forwards: 8 shards, slack 1.5", ffn: alone(1.5) },
    { name: "feed-forwards: 8 shards, slack 2", ffn: alone(2) },
    { name: "feed-forwards: 4 bits, 8 shards, slack 1.5", ffn: both(4, 1.5) },
    { name: "feed-forwards: 4 bits, not recomputed", ffn: plain(4) },
    { name: "feed-forwards: half of the inputs", ffn: inputs(0.5) },
    { name: "feed-forwards: a quarter of the chosen neurons", ffn: { method: "gates", share: 0.25 } },
    { name: "feed-forwards: half of the groups", ffn: list(0.5) },
    { name: "all: 4 bits, k′ 128 and 24", head: compression(4, 128), ffn: compression(4, 24) },
    { name: "all: 2 bits for the head, 4 for the others, 8 shards", head: both(2, 2), ffn: both(4, 1.5) },
    { name: "all: 4 bits, not recomputed", head: plain(4), ffn: plain(4) },
    { name: "all: 8 bits, not recomputed", head: plain(8), ffn: plain(8) },
    { name: "all: half of the inputs", head: inputs(0.5), ffn: inputs(0.5) },
  ];
}
