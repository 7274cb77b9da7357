// What the bench measures on a GPU: output heads and feed-forwards of the shapes of known models, each with several
// estimators and batches. A layer's batch is part of its plan, so every batch is a layer of its own.

import { defineModel, dense, type Estimator, ffn, type Layer, lowRank, type Model, quantized, softmax } from "hirec";

/** `leastRatio` is how many times as fast as torch its int4 is to be at batch 1. */
export interface Head {
  readonly kind: "head";
  /** Begins the names of its layers. */
  readonly name: string;
  readonly title: string;
  readonly rows: number;
  readonly inputs: number;
  readonly k: number;
  readonly candidates: number;
  readonly leastRatio?: number;
}

export interface FeedForward {
  readonly kind: "ffn";
  readonly name: string;
  readonly title: string;
  readonly inputs: number;
  readonly hidden: number;
  /** Shares of the groups that a token keeps, and that it computes exactly to find them. */
  readonly k: number;
  readonly candidates: number;
  readonly leastRatio?: number;
}

export type Shape = Head | FeedForward;

export interface Bench {
  readonly shapes: readonly Shape[];
  readonly batches: readonly number[];
  readonly estimators: Readonly<Record<string, Estimator>>;
  /** The model that is decoded as a whole, and the estimator of its layers. */
  readonly decode: {
    readonly head: Head;
    readonly mlp: FeedForward;
    readonly layers: number;
    readonly attentionHeads: number;
    readonly keyHeads: number;
    /** Positions of the cache. */
    readonly context: number;
    readonly batches: readonly number[];
    readonly estimator: string;
    readonly leastRatio: number;
  };
  /** The share of the bandwidth that scoring is to reach at batch 1, by estimators. */
  readonly scoreOfBandwidth: Readonly<Record<string, number>>;
}

/** A layer of the compiled model, and what it stands for. */
export interface BenchLayer {
  readonly name: string;
  /** Name of the shape; of the decoded model "decode". */
  readonly of: string;
  readonly estimator: string;
  readonly batch: number;
  readonly layer: Layer;
}

/** Names start with a letter, and `decode` is not one of a shape's. */
export function layersOf({ shapes, batches, estimators, decode }: Bench): BenchLayer[] {
  const chosen = shapes.flatMap((shape) =>
    Object.entries(estimators).flatMap(([estimator, value]) =>
      batches.map((batch) => ({
        ...{ name: `${shape.name}_${estimator}_b${batch}`, of: shape.name, estimator, batch },
        layer: layerOf(shape, value, batch),
      })),
    ),
  );
  const decoded = [decode.head, decode.mlp].flatMap((shape) =>
    decode.batches.map((batch) => ({
      ...{ name: `decode_${shape.kind}_b${batch}`, of: "decode", estimator: decode.estimator, batch },
      layer: layerOf(shape, estimators[decode.estimator]!, batch),
    })),
  );
  return [...chosen, ...decoded];
}

export function modelOf(bench: Bench): Model {
  return defineModel("bench-gpu", Object.fromEntries(layersOf(bench).map(({ name, layer }) => [name, layer])));
}

/** No neuron's SiLU is 0, so none is left out: what a ReLU would save is not counted in. */
const silu = (z: number) => z / (1 + Math.exp(-z));

function layerOf(shape: Shape, estimator: Estimator, batch: number): Layer {
  const { inputs, k, candidates } = shape;
  const chosen = { k, ...(estimator.kind !== "dense" && { candidates }) };
  if (shape.kind === "head")
    return softmax({ inputs, rows: shape.rows, weight: "weight", estimator, batch, ...chosen });
  const weights = { gate: "gate", up: "up", down: "down" };
  return ffn({ inputs, hidden: shape.hidden, weights, activation: silu, estimator, batch, ...chosen });
}

/** As many as HiRE's paper computes exactly for a head (128) and more: candidates are little of what a head reads. */
const HEAD = { kind: "head", k: 64, candidates: 256 } as const;

/** Half as many again as are kept: tiny-lm, which was trained so, then finds 99.9 % of the best (docs/tiny-lm.md). */
const feedForward = (inputs: number, hidden: number, share: number): FeedForward => ({
  kind: "ffn",
  name: `ffn_${inputs}_${hidden}_${share * 100}`,
  title: `feed-forward ${inputs} × ${hidden}, ${share * 100} % of groups`,
  ...{ inputs, hidden, k: share, candidates: 1.5 * share },
});

const llama: Head = { ...HEAD, name: "llama", title: "head of Llama 3.2 1B", rows: 128_256, inputs: 2048 };

const group = 128;

export const BENCH: Bench = {
  shapes: [
    { ...HEAD, name: "gemma", title: "head of Gemma 2 2B", rows: 256_000, inputs: 2304, leastRatio: 3 },
    { ...feedForward(2048, 16_384, 0.05), leastRatio: 4 },
    llama,
    feedForward(4096, 14_336, 0.05),
    { ...HEAD, name: "qwen", title: "head of Qwen2.5 0.5B", rows: 151_936, inputs: 896 },
    feedForward(2048, 16_384, 0.1),
    feedForward(4096, 14_336, 0.1),
  ],
  batches: [1, 4, 8, 16],
  estimators: {
    int4: quantized({ bits: 4, group }),
    int8: quantized({ bits: 8, group }),
    rank128: lowRank({ rank: 128, bits: 8, basis: "activations" }),
    rank256: lowRank({ rank: 256, bits: 8, basis: "activations" }),
    dense: dense(),
  },
  decode: {
    head: llama,
    mlp: feedForward(2048, 8192, 0.05),
    layers: 16,
    attentionHeads: 32,
    keyHeads: 8,
    context: 512,
    batches: [1, 8],
    estimator: "int4",
    leastRatio: 1.47,
  },
  scoreOfBandwidth: { int4: 0.8, int8: 0.85 },
};
