// tiny-lm over four shards: the head, of which each scores a quarter of the vocabulary and sends its best rows, and the first
// feed-forward, of which each adds up groups of its own. The weights are those of ../tiny-lm.
import { defineModel, ffn, quantized, softmax, twoStage } from "hirec";

const estimator = quantized({ bits: 4, group: 32 });

export default defineModel("tiny-lm-4", {
  head: softmax({
    inputs: 256,
    rows: 8192,
    weight: "model.embed_tokens.weight",
    estimator,
    k: 32,
    candidates: 128,
    select: twoStage({ recall: 0.99 }),
    batch: 8,
    shards: { count: 4, exchange: { resend: 0.01 } },
  }),
  mlp0: ffn({
    inputs: 256,
    hidden: 1024,
    weights: {
      gate: "model.layers.0.mlp.gate_proj.weight",
      up: "model.layers.0.mlp.up_proj.weight",
      down: "model.layers.0.mlp.down_proj.weight",
    },
    activation: (z) => Math.max(z, 0),
    estimator,
    group: { size: 8, score: "max" },
    k: 16,
    candidates: 24,
    batch: 4,
    shards: { count: 4, slack: { recall: 0.99 } },
  }),
});
