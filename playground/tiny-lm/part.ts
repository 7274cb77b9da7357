// Whether a layer is one of tiny-lm's, by the names and shapes of its weights: then its own weights and inputs can be had.

import { weightTensors } from "../../runtime/pack/weight-tensors.ts";
import type { LayerPlan } from "../../runtime/plan.ts";
import { config } from "./files.ts";

/** The head, or the feed-forward of that number. */
export type TinyLmPart = "head" | number;

export function partOfTinyLm(layer: LayerPlan): TinyLmPart | undefined {
  const { hidden_size: hidden, intermediate_size: neurons, vocab_size: vocabulary } = config;
  const described = (names: readonly (readonly [string, number, number])[]) =>
    names.map(([name, rows, columns]) => `${name} ${rows} ${columns}`).join();
  const found = weightTensors(layer)
    .map(({ name, shape }) => `${name} ${shape.join(" ")}`)
    .join();
  if (layer.dtype !== "bf16") return undefined;
  if (found === described([["model.embed_tokens.weight", vocabulary, hidden]])) return "head";
  return Array.from({ length: config.num_hidden_layers }, (_, number) => number).find((number) => {
    const name = (matrix: string) => `model.layers.${number}.mlp.${matrix}_proj.weight`;
    return (
      found ===
      described([
        [name("gate"), neurons, hidden],
        [name("up"), neurons, hidden],
        [name("down"), hidden, neurons],
      ])
    );
  });
}
