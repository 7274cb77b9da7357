// What layers.py says of a layer: its class, what it takes, and the fields of its result.

import type { BufferPlan, LayerPlan } from "../../runtime/plan.ts";

export interface LayerText {
  readonly className: string;
  /** Of modules.py, or of sharded.py. */
  readonly base: string;
  readonly isSharded: boolean;
  readonly classText: string;
  readonly returnsText: string;
  readonly fields: readonly { readonly name: string; readonly note: string }[];
  readonly signature: string;
  readonly takes: string;
  readonly arguments: string;
}

/** @param returned the buffers that the operator returns, in its order. */
export function layerText(layer: LayerPlan, className: string, returned: readonly BufferPlan[]): LayerText {
  const { inputs, mask, sampler } = layer;
  const drawn = sampler === "multinomial";
  const taken = [...(mask ? ["mask"] : []), ...(drawn ? ["uniforms"] : [])];
  const notes = [
    `[..., ${inputs}] f32, f16 or bf16`,
    ...(mask ? [`mask: bool [${layer.rows}], true for rows that may be returned`] : []),
    ...(drawn ? ["uniforms: f32 [...] in [0, 1), drawn by torch.rand when not given"] : []),
  ];
  return {
    className,
    base: layer.sharding ? SHARDED[layer.kind] : "Layer",
    isSharded: layer.sharding !== undefined,
    ...headings(layer),
    fields: returned.map(({ name }) => ({ name, note: NOTES[name]!(layer) })),
    signature: ["self", "x: torch.Tensor", ...taken.map((name) => `${name}: torch.Tensor | None = None`)].join(", "),
    takes: notes.join("; "),
    arguments: ["x", ...taken.map((name) => `${name}=${name}`)].join(", "),
  };
}

const SHARDED = { softmax: "ShardedHead", ffn: "ShardedFeedForward" } as const;

function headings(layer: LayerPlan): Pick<LayerText, "classText" | "returnsText"> {
  const { k, rows, sharding } = layer;
  const spread = sharding ? `, over ${sharding.count} shards` : "";
  if (layer.kind === "softmax") {
    return {
      classText: `An output head${spread}: the ${k} best of ${rows} rows of each token.`,
      returnsText: `The ${k} best of ${rows} rows of each token.`,
    };
  }
  const { count, size, common } = layer.group;
  const besides = common > 0 ? `, and the first ${common}` : "";
  if (sharding) {
    const own = `up to ${sharding.keep} of its own groups of ${size} neurons${common > 0 ? ", and the common ones" : ""}`;
    return {
      classText: `A feed-forward${spread}, of which each computes, for each token, ${own}.`,
      returnsText: "What a feed-forward makes of each token, and which groups this shard has computed for it.",
    };
  }
  return {
    classText: `A feed-forward of which each token computes ${k} of ${count} groups of ${size} neurons${besides}.`,
    returnsText: "What a feed-forward makes of each token.",
  };
}

/** What the buffers hold that a layer returns. */
const NOTES: Readonly<Record<string, (layer: LayerPlan) => string>> = {
  indices: ({ k }) => `int64 [..., ${k}], best first; -1 where fewer rows are allowed.`,
  values: ({ k, temperature }) =>
    `f32 [..., ${k}], exact${temperature === undefined ? "" : ", divided by the temperature"}; -inf where fewer rows are allowed.`,
  certified: () => "bool [...], whether it is proven that no row was missed.",
  lse: () => "f32 [...], the log of the sum of exp(value).",
  sampled: () => "int64 [...], one of the rows; -1 where none is allowed.",
  output: (layer) => `f32 [..., ${layer.kind === "ffn" ? layer.outputs : layer.rows}].`,
  groups: ({ k, sharding }) =>
    sharding
      ? "int64 [..., k of the shard], the groups of this shard that were selected, numbered among all; -1 for none."
      : `int64 [..., ${k}], the groups that were selected, best first; -1 for none.`,
};
