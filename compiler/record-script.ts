// A Python script that records the inputs of layers from a model of Hugging Face. It is written once, for its user to change.

import { type Diagnostic, HireError } from "../runtime/errors.ts";
import type { CheckedLayer, CheckedModel } from "./model.ts";
import { loadTemplates } from "./templates.ts";
import { python } from "./torch/python.ts";

const SUFFIX = ".weight";

/** @throws HireError HIRE-CAL-008 for every layer whose tensor names no module. */
export function recordScript({ name: model, spec, layers }: CheckedModel): string {
  const problems: Diagnostic[] = [];
  const modules = layers.map((layer) => {
    const tensor = scoredTensor(layer);
    if (!tensor.endsWith(SUFFIX) || tensor === SUFFIX) {
      problems.push({
        code: "HIRE-CAL-008",
        message: `Layer "${layer.name}" has its weights in tensor "${tensor}", which names no module`,
        fix: `Record its inputs yourself, as tensor "${layer.name}.input" F32 [tokens, ${layer.inputs}]: names of modules are those of their tensors without ${SUFFIX}`,
      });
    }
    const module = tensor.slice(0, -SUFFIX.length);
    return { name: python(layer.name), module: python(module), inputs: layer.inputs };
  });
  if (problems.length > 0) throw new HireError(problems);
  const render = loadTemplates("record")("record.py");
  return `${render({ model, spec, layers: modules }).trimEnd()}\n`;
}

/** The matrix that meets the layer's input, under the name of the weights file. */
function scoredTensor(layer: CheckedLayer): string {
  if (layer.kind === "softmax") return layer.weight;
  return layer.weights.gate ?? layer.weights.up;
}
