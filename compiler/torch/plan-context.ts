// The plans of plan.py: every value is Python already. A layer over shards is launched nowhere as a whole; what its shards
// compute and the merge are plans of their own, in front of it.

import { weightTensors } from "../../runtime/pack/weight-tensors.ts";
import type { BufferPlan, LayerPlan, LayerProgram, Plan } from "../../runtime/plan.ts";
import { type Launched, launchedLayer, launchedMerge, launchedParts, outputsOf, returnsOf } from "./launched.ts";
import { python } from "./python.ts";

export function planContexts(plan: Plan): object[] {
  return Object.entries(plan.layers).flatMap(([name, layer]) => {
    if (!layer.sharding) return [launchedContext(launchedLayer(plan, name), weightsOf(layer))];
    const parts = launchedParts(plan, name);
    const merge = launchedMerge(plan, name);
    const launched = [...new Set([...parts, merge])].filter((each) => each !== undefined);
    return [...launched.map((each) => launchedContext(each, [])), wholeContext(plan, name, parts, merge)];
  });
}

export function constantOf(name: string): string {
  return `${name.toUpperCase()}_PLAN`;
}

function launchedContext(launched: Launched, weights: readonly object[]) {
  const { name, kind, layer, inputs, programs } = launched;
  const { buffers } = programs[0]!.program;
  const takes = (input: string) => buffers.some((buffer) => buffer.role === "input" && buffer.name === input);
  return {
    ...layerContext(name, kind, layer),
    inputs,
    masked: python(takes("mask")),
    drawn: python(takes("uniforms")),
    isAsked: takes("again"),
    hasWeights: weights.length > 0,
    weights,
    hasPacked: kind !== "merge",
    packed: packedContext(layer),
    returns: outputsOf(launched).map((buffer) => outputContext(buffer, layer)),
    hasPrograms: true,
    programs: distinctPrograms(programs),
    isSharded: false,
  };
}

function wholeContext(plan: Plan, name: string, parts: readonly (Launched | undefined)[], merge?: Launched) {
  const layer = plan.layers[name]!;
  const { count, layout, offered } = layer.sharding!;
  const choices = layer.kind === "ffn" ? layer.group.count : layer.rows;
  return {
    ...layerContext(name, layer.kind, layer),
    inputs: layer.inputs,
    masked: python(layer.mask === true),
    drawn: python(layer.sampler === "multinomial"),
    isAsked: layer.certificate?.kind === "fallback",
    hasWeights: true,
    weights: weightsOf(layer),
    hasPacked: false,
    returns: returnsOf(plan, name).map((buffer) => outputContext(buffer, layer)),
    hasPrograms: false,
    isSharded: true,
    interleaved: python(layout === "interleaved"),
    range: Math.ceil(choices / count),
    pairs: merge ? 1 + offered : 0,
    parts: `(${parts.map((part) => `${part ? constantOf(part.name) : "None"},`).join(" ")})`,
    merge: merge ? constantOf(merge.name) : "None",
  };
}

function layerContext(name: string, kind: Launched["kind"], layer: LayerPlan) {
  const { rows, k, batch, crossover } = layer;
  return {
    constant: constantOf(name),
    name: python(name),
    kind: python(kind),
    outputs: layer.kind === "ffn" ? layer.outputs : rows,
    hidden: python(layer.kind === "ffn" ? rows : undefined),
    k,
    batch,
    denseAbove: crossover?.batch ?? 4 * batch,
  };
}

function weightsOf(layer: LayerPlan) {
  return weightTensors(layer).map(({ name, shape }) => ({ name: python(name), shape: python(shape) }));
}

function packedContext({ tensors }: LayerPlan) {
  return tensors.map(({ role, name, dtype, shape }) => ({
    ...{ name: python(role), key: python(name), dtype: python(dtype), shape: python(shape) },
  }));
}

const FLOATS = ["values", "lse", "output"];

/** One number for a token; of everything else there may be several. */
const PER_TOKEN = ["certified", "lse", "sampled"];

function outputContext({ name, bytes }: BufferPlan, { batch }: LayerPlan) {
  return {
    name: python(name),
    dtype: python(FLOATS.includes(name) ? "float32" : "int32"),
    shape: python(PER_TOKEN.includes(name) ? [] : [bytes / 4 / batch]),
  };
}

/** One that is launched as the next more modest one is left out. */
function distinctPrograms(programs: Launched["programs"]) {
  const all = programs.map(({ architecture, program }) => ({ architecture, ...programContext(program) }));
  const launches = all.map(({ architecture, ...launched }) => JSON.stringify(launched));
  return all.filter((_, i) => launches[i] !== launches[i + 1]);
}

function programContext({ buffers, kernels }: LayerProgram) {
  const scratch = buffers.filter(({ role }) => role === "scratch" || role === "indirect");
  return {
    scratch: python(Object.fromEntries(scratch.map(({ name, bytes }) => [name, bytes]))),
    kernels: kernels.map(({ name, file, launches, workgroupSize, bindings }) => ({
      name: python(name),
      source: python(file),
      grid: python(launches[0]!.workgroups),
      block: workgroupSize,
      parameters: python(bindings.map(({ name, buffer }) => buffer ?? name)),
    })),
  };
}
