// tiny-lm's layers with its own inputs on held-out text: fitted on some windows, measured on others.

import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { check } from "../../compiler/check.ts";
import type { CheckedLayer } from "../../compiler/model.ts";
import { tile } from "../../compiler/tile.ts";
import { recordInputs } from "../../examples/tiny-lm/record-activations.ts";
import tinyLm from "../../examples/tiny-lm/tiny-lm.hire.ts";
import { shareBases } from "../../runtime/measure/copy.ts";
import { exactLayer } from "../../runtime/measure/exact.ts";
import type { Product } from "../../runtime/measure/product.ts";
import { readLayerWeights } from "../../runtime/node/layer-weights.ts";
import { findWeights } from "../../runtime/node/pack-file.ts";
import { openSafetensors } from "../../runtime/node/safetensors-file.ts";
import { byFrequency, choicesOf, type Order, type StudyLayer } from "./layer.ts";

export const TINY_LM = fileURLToPath(new URL("../../examples/tiny-lm/", import.meta.url));

/** @param positions of each, fitted and measured. */
export async function tinyLmLayers(positions: number, product: Product): Promise<StudyLayer[]> {
  const fitted = await recordInputs(TINY_LM, positions, 1);
  const measured = await recordInputs(TINY_LM, positions, 0);
  const model = check({ model: tinyLm, sites: [] });
  const file = await openSafetensors(join(TINY_LM, "model.safetensors"));
  try {
    const plans = Object.fromEntries(model.layers.map((layer) => [layer.name, tile(layer)]));
    const found = findWeights({ layers: plans }, [file]);
    const layers: StudyLayer[] = [];
    for (const layer of model.layers) {
      const { weights } = await readLayerWeights(
        plans[layer.name]!,
        found.find(({ name }) => name === layer.name)!.found,
      );
      const fit = fitted.inputs[layer.name]!;
      const { best } = await exactLayer(plans[layer.name]!, weights, fit, product, () => false);
      const orders = [{ by: "what is chosen", choices: byFrequency(choicesOf(layer), best) }, ...ofText(layer)];
      layers.push({
        ...{ model: "tiny-lm", name: layer.name, source: "trained weights, held-out text" },
        // As one token at a time is decoded.
        layer: { ...layer, batch: 1 },
        ...{ weights, fit, x: measured.inputs[layer.name]!, bases: shareBases(weights.scored), orders },
        parts: [{ name: "text", from: 0, to: positions }],
      });
    }
    return layers;
  } finally {
    await file.close();
  }

  /** The vocabulary by the tokens of the text itself. */
  function ofText(layer: CheckedLayer): Order[] {
    if (layer.kind === "ffn") return [];
    return [{ by: "the text's tokens", choices: byFrequency(layer.rows, [fitted.next]) }];
  }
}
