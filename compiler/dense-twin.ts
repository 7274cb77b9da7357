// The dense twin of a layer: what its fused kernels are to be compared with, in time, bytes and results. It is compiled from a
// plan, so that whoever holds a compiled module needs neither its spec nor TypeScript.

import { requireLayer } from "../runtime/model.ts";
import type { LayerPlan, Plan } from "../runtime/plan.ts";
import { type CompiledModel, emit } from "./emit.ts";
import type { CheckedLayer, CheckedScored } from "./model.ts";
import { PROFILES } from "./profiles.ts";

/**
 * The same layers with every row scored by its exact weights, as `dense()` in the spec would have it, for WebGPU. They are whole
 * where the layers are spread over shards, and not certified: exact scores need no proof.
 * @param names of the layers; all of the plan where they are not given.
 * @throws HireError HIRE-RUN-008 when there is no layer of that name, HIRE-PLAN-001 and -002 when it fits no device.
 */
export function denseTwin(plan: Plan, names: readonly string[] = Object.keys(plan.layers)): CompiledModel {
  const layers = names.map((name) => denseLayer(name, requireLayer(plan, name)));
  return emit({ name: plan.model, spec: plan.spec, layers }, PROFILES.wgsl);
}

function denseLayer(name: string, plan: LayerPlan): CheckedLayer {
  const { inputs, rows, dtype, k, batch } = plan;
  const scored: CheckedScored = {
    ...{ name, inputs, rows, dtype, k, batch, candidates: k },
    ...{ estimator: { kind: "dense" }, select: { kind: "exact" }, certify: "off", crossover: "dense" },
    options: optionsOf(plan),
  };
  if (plan.kind === "softmax") return { ...scored, kind: plan.kind, weight: plan.weight };
  const { kind, outputs, gated, weights, biases, group, activation } = plan;
  return { ...scored, ...{ kind, outputs, gated, weights, group, activation }, ...(biases && { biases }) };
}

function optionsOf(plan: LayerPlan): CheckedScored["options"] {
  const { bias, mask, transform, temperature, logSumExp, sampler, topK, topP } = plan;
  return {
    ...(bias !== undefined && { bias }),
    ...(mask && { mask }),
    ...(transform && { transform }),
    ...(temperature !== undefined && { temperature }),
    // All scores are exact, and all are there to be added up.
    ...(logSumExp && { logSumExp: "all" }),
    ...(sampler && { sampler }),
    ...(topK !== undefined && { topK }),
    ...(topP !== undefined && { topP }),
  };
}
